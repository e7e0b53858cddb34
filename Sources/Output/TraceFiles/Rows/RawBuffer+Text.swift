public import SystemIO
public import TraceModel

extension RawBuffer {
    /// Whether a text can be written as it is, between quotes in JSON and without them in CSV, formulas guarded
    /// against or not: printable ASCII other than `"`, `\` and comma. Nothing is written of no text.
    @inlinable @inline(__always) package static func isPlainText(_ view: ByteView) -> Bool {
        guard let start = view.start, view.count > 0 else { return false }
        return isPlainText(start, view.count) && !beginsFormula(start)
    }

    /// Eight bytes at a time, as `isPlainJSON`.
    @inlinable @inline(__always) static func isPlainText(_ source: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 else { return !hasPlainTextBreak(word(source, count)) }
        var index = 0
        while index &+ 8 < count {
            let word = source.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if hasPlainTextBreak(word) { return false }
            index &+= 8
        }
        // The last word overlaps the one before it.
        let last = source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        return !hasPlainTextBreak(last)
    }

    /// One to seven bytes in a word, some of them twice, and spaces.
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

    /// As `hasSpecialByte`.
    @inlinable @inline(__always) static func hasPlainTextBreak(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let comma = word ^ (ones &* 0x2C)
        let highs: UInt64 = 0x8080_8080_8080_8080
        return hasSpecialByte(word) || (comma &- ones) & ~comma & highs != 0
    }

    /// Text as it is; invalid UTF-8 becomes U+FFFD.
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

    /// One frame of a stack-message line: `|` separates frames there, control characters would end it.
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
