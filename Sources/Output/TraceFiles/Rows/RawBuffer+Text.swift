public import SystemIO
public import TraceModel

extension RawBuffer {
    /// Whether a text can be written unchanged: printable ASCII other than `"`, `\` and comma. It then needs no
    /// escapes, quoted in JSON and unquoted in CSV, with or without the protection against formulas. False for an
    /// empty text.
    @inlinable @inline(__always) package static func isPlainText(_ view: ByteView) -> Bool {
        guard let start = unsafe view.start, view.count > 0 else { return false }
        return unsafe isPlainText(start, view.count) && !beginsFormula(start)
    }

    /// Reads eight bytes at a time, like `isPlainJSON`.
    @inlinable @inline(__always) static func isPlainText(
        _ source: UnsafeRawPointer,
        _ count: Int
    ) -> Bool {
        guard count >= 8 else { return unsafe !hasPlainTextBreak(word(source, count)) }
        var index = 0
        while index &+ 8 < count {
            let word = unsafe source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if hasPlainTextBreak(word) { return false }
            index &+= 8
        }
        // The last word overlaps the previous one.
        let last = unsafe source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        return !hasPlainTextBreak(last)
    }

    /// Packs one to seven bytes into a word. Some appear twice, and unused bytes are spaces.
    @inlinable @inline(__always) static func word(
        _ source: UnsafeRawPointer,
        _ count: Int
    ) -> UInt64 {
        if count >= 4 {
            let upper = unsafe source.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            return unsafe UInt64(source.loadUnaligned(as: UInt32.self)) | UInt64(upper) &<< 32
        }
        let first = unsafe UInt64(source.load(as: UInt8.self))
        let middle = unsafe UInt64(source.load(fromByteOffset: count &>> 1, as: UInt8.self))
        let last = unsafe UInt64(source.load(fromByteOffset: count &- 1, as: UInt8.self))
        return first | middle &<< 8 | last &<< 16 | 0x2020_2020_2000_0000
    }

    /// Like `hasSpecialByte`, with commas.
    @inlinable @inline(__always) static func hasPlainTextBreak(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let comma = word ^ (ones &* 0x2C)
        let highs: UInt64 = 0x8080_8080_8080_8080
        return hasSpecialByte(word) || (comma &- ones) & ~comma & highs != 0
    }

    /// Appends text with invalid UTF-8 replaced by U+FFFD.
    mutating func append(repairing view: ByteView) {
        let bytes = unsafe view.buffer
        var index = 0
        var replaced = 0
        while index < bytes.count {
            if unsafe bytes[index] < 0x80 {
                unsafe append(byte: bytes[index])
                index += 1
            } else {
                unsafe index += appendScalar(bytes, at: index, &replaced)
            }
        }
    }

    /// Appends one frame of a stack-message line. `|` is escaped because it separates frames; control characters, which
    /// would end the line, become spaces.
    mutating func append(stackFrame frame: UnsafeRawBufferPointer) {
        for index in frame.indices {
            let byte = unsafe frame[index]
            switch byte {
            case UInt8(ascii: "|"): append("\\u007c")
            case 0..<0x20: append(byte: UInt8(ascii: " "))
            default: append(byte: byte)
            }
        }
    }
}

extension RawBuffer {
    /// Whether all bytes are ASCII other than quote, comma, CR and LF. Reads eight bytes at a time.
    @inlinable static func isPlainCSV(_ source: UnsafeRawPointer, _ count: Int) -> Bool {
        if count < 8 {
            for index in 0..<count {
                let byte = unsafe source.load(fromByteOffset: index, as: UInt8.self)
                if byte >= 0x80 || byte == 0x22 || byte == 0x2C || byte == 0x0D || byte == 0x0A {
                    return false
                }
            }
            return true
        }
        var index = 0
        while index &+ 8 <= count {
            if unsafe hasCSVByte(source.loadUnaligned(fromByteOffset: index, as: UInt64.self)) {
                return false
            }
            index &+= 8
        }
        // The last word overlaps the previous one.
        return unsafe !hasCSVByte(source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
    }

    /// Like `hasSpecialByte`, for the bytes that need quotes in CSV.
    @inlinable static func hasCSVByte(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        let quote = word ^ (ones &* 0x22)
        let comma = word ^ (ones &* 0x2C)
        let carriage = word ^ (ones &* 0x0D)
        let feed = word ^ (ones &* 0x0A)
        let equal =
            ((quote &- ones) & ~quote) | ((comma &- ones) & ~comma)
            | ((carriage &- ones) & ~carriage)
            | ((feed &- ones) & ~feed)
        return (equal | word) & highs != 0
    }

    @inlinable static func beginsFormula(_ source: UnsafeRawPointer) -> Bool {
        switch unsafe source.load(as: UInt8.self) {
        case 0x3D, 0x2B, 0x2D, 0x40, 0x09, 0x0D: true
        default: false
        }
    }

    @inline(never) @usableFromInline mutating func appendQuotedCSVField(
        _ view: ByteView,
        isGuarded: Bool
    ) -> Int {
        let bytes = unsafe view.buffer
        let needsQuotes = unsafe bytes.contains {
            $0 == 0x22 || $0 == 0x2C || $0 == 0x0D || $0 == 0x0A
        }
        if needsQuotes { append(byte: 0x22) }
        if isGuarded { append(byte: 0x27) }
        var replaced = 0
        var index = 0
        while index < bytes.count {
            let byte = unsafe bytes[index]
            if byte >= 0x80 {
                unsafe index += appendScalar(bytes, at: index, &replaced)
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
