public import SystemIO
public import TraceModel

extension RawBuffer {
    /// Whether a text can be written unchanged, quoted in JSON and unquoted in CSV, with or without the protection
    /// against formulas: printable ASCII other than `"`, `\` and comma. False for an empty text.
    @inlinable @inline(__always) package static func isPlainText(_ view: ByteView) -> Bool {
        guard let start = view.start, view.count > 0 else { return false }
        return isPlainText(start, view.count) && !beginsFormula(start)
    }

    /// Reads eight bytes at a time, like `isPlainJSON`.
    @inlinable @inline(__always) static func isPlainText(_ source: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 else { return !hasPlainTextBreak(word(source, count)) }
        var index = 0
        while index &+ 8 < count {
            let word = source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if hasPlainTextBreak(word) { return false }
            index &+= 8
        }
        // The last word overlaps the previous one.
        let last = source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        return !hasPlainTextBreak(last)
    }

    /// Packs one to seven bytes into a word. Some appear twice, and unused bytes are spaces.
    @inlinable @inline(__always) static func word(_ source: UnsafeRawPointer, _ count: Int) -> UInt64 {
        if count >= 4 {
            let upper = source.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            return UInt64(source.loadUnaligned(as: UInt32.self)) | UInt64(upper) &<< 32
        }
        let first = UInt64(source.load(as: UInt8.self))
        let middle = UInt64(source.load(fromByteOffset: count &>> 1, as: UInt8.self))
        let last = UInt64(source.load(fromByteOffset: count &- 1, as: UInt8.self))
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
        let bytes = view.buffer
        var index = 0
        var replaced = 0
        while index < bytes.count {
            if bytes[index] < 0x80 {
                append(byte: bytes[index])
                index += 1
            } else {
                index += appendScalar(bytes, at: index, &replaced)
            }
        }
    }

    /// Appends one frame of a stack-message line. `|` is escaped because it separates frames; control characters, which
    /// would end the line, become spaces.
    mutating func append(stackFrame frame: UnsafeRawBufferPointer) {
        for byte in frame {
            switch byte {
            case UInt8(ascii: "|"): append("\\u007c")
            case 0..<0x20: append(byte: UInt8(ascii: " "))
            default: append(byte: byte)
            }
        }
    }
}

// Numbers as text, written straight into the buffer: no `String`, no locale.
extension RawBuffer {
    @inlinable package mutating func appendDecimal(_ value: UInt64) {
        let target = reserve(DecimalText.bytesMax)
        commit(DecimalText.write(value, at: target) - target)
    }

    @inlinable package mutating func appendDecimal(_ value: UInt32) { appendDecimal(UInt64(value)) }

    @inlinable package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(byte: UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// Appends exactly `digits` digits, with leading zeros. `value` must fit.
    @inlinable package mutating func appendPadded(_ value: UInt64, digits: Int) {
        let target = reserve(digits)
        var rest = value
        var at = digits
        while at > 0 {
            at &-= 1
            let quotient = rest / 10
            (target + at).storeBytes(of: 0x30 &+ UInt8(truncatingIfNeeded: rest &- quotient &* 10), as: UInt8.self)
            rest = quotient
        }
        commit(digits)
    }

    /// Appends nanoseconds as microseconds: an integer, or three decimals if the value is not a whole number of
    /// microseconds.
    @inlinable package mutating func appendMicroseconds(ns: Int64) {
        if ns < 0 { append(byte: UInt8(ascii: "-")) }
        let magnitude = ns.magnitude
        let whole = magnitude / 1_000
        appendDecimal(whole)
        let below = magnitude &- whole &* 1_000
        if below != 0 {
            append(byte: UInt8(ascii: "."))
            appendPadded(below, digits: 3)
        }
    }

    /// Appends lower-case hexadecimal digits without prefix or leading zeros.
    @inlinable package mutating func appendHex(_ value: UInt64) {
        let target = reserve(DecimalText.bytesMax)
        commit(DecimalText.writeHex(value, at: target) - target)
    }

    /// Appends a number that reads back as the same double; `null` for NaN and the infinities.
    @inlinable package mutating func appendJSONDouble(_ value: Double) {
        if value.isFinite { appendFinite(value, hasDecimals: false) } else { append("null") }
    }

    /// Appends a number that reads back as the same double; nothing for NaN and the infinities. The text always has a
    /// point or an exponent, so that readers of many tables infer the same type for a column in all of them.
    @inlinable package mutating func appendCSVDouble(_ value: Double) {
        if value.isFinite { appendFinite(value, hasDecimals: true) }
    }

    /// Appends an integer, or up to six decimals if these are exact, which is nearly always the case for agents'
    /// values. Otherwise the shortest form, which has a point or an exponent and takes ten times as long.
    @usableFromInline mutating func appendFinite(_ value: Double, hasDecimals: Bool) {
        let target = reserve(DecimalText.bytesMax + 8)
        guard let end = DecimalText.write(value, hasDecimals: hasDecimals, at: target) else {
            return append(value.description)
        }
        commit(end - target)
    }
}

extension RawBuffer {
    /// Appends one text field of RFC 4180, quoted only if it contains a quote, comma, CR or LF. Invalid UTF-8 becomes
    /// U+FFFD; returns the number of these. With `guardsFormulas`, text that a spreadsheet would run as a formula (it
    /// starts with `=`, `+`, `-`, `@`, a tab or a CR) gets a leading apostrophe.
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

    /// Whether all bytes are ASCII other than quote, comma, CR and LF. Reads eight bytes at a time.
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
        // The last word overlaps the previous one.
        return !hasCSVByte(source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
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
