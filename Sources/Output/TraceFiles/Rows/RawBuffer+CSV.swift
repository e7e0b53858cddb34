public import SystemIO
public import TraceModel

extension RawBuffer {
    /// One field of text by RFC 4180: quoted only where it holds a quote, comma, CR or LF. Invalid UTF-8
    /// becomes U+FFFD; returns how many. `guardsFormulas`: text that a spreadsheet would run as a formula, as
    /// it begins with `=`, `+`, `-`, `@`, a tab or a CR, gets an apostrophe in front.
    @inlinable @discardableResult package mutating func appendCSVField(
        _ view: ByteView, guardsFormulas: Bool = false
    ) -> Int {
        guard let source = view.start, view.count > 0 else { return 0 }
        let isGuarded = guardsFormulas && Self.beginsFormula(source)
        guard !isGuarded, Self.isPlainCSV(source, view.count) else {
            return appendQuotedCSVField(view, isGuarded: isGuarded)
        }
        let target = reserve(view.count)
        target.copyMemory(from: source, byteCount: view.count)
        commit(view.count)
        return 0
    }

    /// Whether all bytes are ASCII other than quote, comma, CR and LF: eight at a time.
    @inlinable static func isPlainCSV(_ source: UnsafeRawPointer, _ count: Int) -> Bool {
        if count < 8 {
            for index in 0..<count {
                let byte = source.load(fromByteOffset: index, as: UInt8.self)
                if byte >= 0x80 || byte == 0x22 || byte == 0x2C || byte == 0x0D || byte == 0x0A { return false }
            }
            return true
        }
        var index = 0
        while index &+ 8 <= count {
            if hasCSVByte(source.loadUnaligned(fromByteOffset: index, as: UInt64.self)) { return false }
            index &+= 8
        }
        // The last word overlaps the one before it.
        return !hasCSVByte(source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
    }

    /// As `hasSpecialByte`.
    @inlinable static func hasCSVByte(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let quote = word ^ (ones &* 0x22)
        let comma = word ^ (ones &* 0x2C)
        let carriage = word ^ (ones &* 0x0D)
        let feed = word ^ (ones &* 0x0A)
        let equal =
            ((quote &- ones) & ~quote) | ((comma &- ones) & ~comma) | ((carriage &- ones) & ~carriage)
            | ((feed &- ones) & ~feed)
        return (equal | word) & highs != 0
    }

    @inlinable static func beginsFormula(_ source: UnsafeRawPointer) -> Bool {
        switch source.load(as: UInt8.self) {
        case 0x3D, 0x2B, 0x2D, 0x40, 0x09, 0x0D: true
        default: false
        }
    }

    @inline(never) @usableFromInline mutating func appendQuotedCSVField(_ view: ByteView, isGuarded: Bool) -> Int {
        let bytes = view.buffer
        let needsQuotes = bytes.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0D || $0 == 0x0A }
        if needsQuotes { append(byte: 0x22) }
        if isGuarded { append(byte: 0x27) }
        var replaced = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte >= 0x80 {
                index += appendScalar(bytes, at: index, &replaced)
                continue
            }
            if byte == 0x22 { append(byte: 0x22) }
            append(byte: byte)
            index += 1
        }
        if needsQuotes { append(byte: 0x22) }
        return replaced
    }
}
