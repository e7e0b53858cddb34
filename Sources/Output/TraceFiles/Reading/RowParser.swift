import Glibc
import TraceModel

/// Parses numbers and keys in the text of rows. Methods return nil if the text is not what this program writes.
@safe
struct RowParser {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    /// Consumes a literal. Inlined so that the literal's length is a constant and the comparison takes a few loads.
    @inline(__always) mutating func skip(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard unsafe bytes.count - position >= count, let base = unsafe bytes.baseAddress,
            unsafe memcmp(base + position, text.utf8Start, count) == 0
        else { return false }
        position += count
        return true
    }

    /// Parses decimal digits, at least one; nil if the number exceeds 64 bits.
    mutating func number() -> UInt64? {
        let start = position
        var value: UInt64 = 0
        // 18 digits cannot overflow.
        let end = unsafe min(bytes.count, start + 18)
        while position + 8 <= end, let eight = unsafe Self.eightDigits(bytes, at: position) {
            value = value &* 100_000_000 &+ eight
            position += 8
        }
        while position < end, case let digit = unsafe bytes[position] &- 0x30, digit < 10 {
            value = value &* 10 &+ UInt64(digit)
            position += 1
        }
        while unsafe position < bytes.count, case let digit = unsafe bytes[position] &- 0x30,
            digit < 10
        {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            value = sum
            position += 1
        }
        return position > start ? value : nil
    }

    /// Parses eight digits at once; nil if not all are digits. Combines neighbours into numbers of two, then four, then
    /// eight digits.
    @inline(__always) private static func eightDigits(
        _ bytes: UnsafeRawBufferPointer,
        at position: Int
    ) -> UInt64? {
        let text = unsafe UInt64(
            littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        )
        // Digits are 0x30 to 0x39: the upper half is still 3 after adding 6.
        guard text & 0xF0F0_F0F0_F0F0_F0F0 == 0x3030_3030_3030_3030,
            (text &+ 0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0 == 0x3030_3030_3030_3030
        else { return nil }
        let digits = text & 0x0F0F_0F0F_0F0F_0F0F
        let pairs = ((digits &* (10 << 8 + 1)) >> 8) & 0x00FF_00FF_00FF_00FF
        let fours = ((pairs &* (100 << 16 + 1)) >> 16) & 0x0000_FFFF_0000_FFFF
        return (fours &* (10_000 << 32 + 1)) >> 32
    }

    mutating func signed() -> Int64? {
        let isNegative = skip("-")
        guard let magnitude = number() else { return nil }
        if !isNegative { return Int64(exactly: magnitude) }
        return magnitude == Int64.min.magnitude ? .min : Int64(exactly: magnitude).map { -$0 }
    }

    /// Parses what `appendMicroseconds` writes, and returns nanoseconds.
    mutating func microseconds() -> EpochNanoseconds? {
        let isNegative = skip("-")
        guard let whole = number() else { return nil }
        var below: UInt64 = 0
        if skip(".") {
            let start = position
            guard let digits = number(), position == start + 3 else { return nil }
            below = digits
        }
        let (product, overflow) = whole.multipliedReportingOverflow(by: 1_000)
        let (magnitude, carry) = product.addingReportingOverflow(below)
        guard !overflow, !carry else { return nil }
        if isNegative && magnitude == Int64.min.magnitude { return .min }
        return Int64(exactly: magnitude).map { isNegative ? -$0 : $0 }
    }

    /// Skips any JSON number.
    mutating func skipNumber() {
        while unsafe position < bytes.count, unsafe Self.isOfNumber(bytes[position]) {
            position += 1
        }
    }

    @inline(__always) private static func isOfNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"),
            UInt8(ascii: "."),
            UInt8(ascii: "E"), UInt8(ascii: "e"):
            true
        default: false
        }
    }

    /// Parses a JSON string and returns it with its quotes, not unescaped.
    mutating func text() -> UnsafeRawBufferPointer? {
        let start = position
        guard skip("\""), let base = unsafe bytes.baseAddress else { return nil }
        while let quote = unsafe memchr(base + position, 0x22, bytes.count - position) {
            position = unsafe UnsafeRawPointer(quote) - base
            var first = position
            while unsafe bytes[first - 1] == UInt8(ascii: "\\") { first -= 1 }
            position += 1
            // After an odd number of backslashes, a quote is part of the string.
            guard (position - 1 - first) % 2 == 1 else {
                return unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<position])
            }
        }
        return nil
    }

    mutating func processID() -> UInt32? { number().flatMap { UInt32(exactly: $0) } }
}
