import TraceModel

/// Reads numbers and keys out of the text of rows; nil where the text is none of ours.
struct RowParser {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func skip(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - position >= count else { return false }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] {
            return false
        }
        position += count
        return true
    }

    /// Decimal digits, at least one; nil beyond 64 bits.
    mutating func number() -> UInt64? {
        let start = position
        var value: UInt64 = 0
        // So few cannot overflow.
        let end = min(bytes.count, start + 18)
        while position < end, case let digit = bytes[position] &- 0x30, digit < 10 {
            value = value &* 10 &+ UInt64(digit)
            position += 1
        }
        while position < bytes.count, case let digit = bytes[position] &- 0x30, digit < 10 {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            value = sum
            position += 1
        }
        return position > start ? value : nil
    }

    mutating func signed() -> Int64? {
        let isNegative = skip("-")
        guard let magnitude = number() else { return nil }
        if !isNegative { return Int64(exactly: magnitude) }
        return magnitude == Int64.min.magnitude ? .min : Int64(exactly: magnitude).map { -$0 }
    }

    /// What `appendMicroseconds` wrote, as nanoseconds.
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

    /// Passes over a JSON number, whatever it is.
    mutating func skipNumber() {
        while position < bytes.count, "+-.0123456789Ee".utf8.contains(bytes[position]) {
            position += 1
        }
    }

    /// A JSON text with its quotes, as it stands there.
    mutating func text() -> UnsafeRawBufferPointer? {
        let start = position
        guard skip("\"") else { return nil }
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard skip("\"") else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<position])
    }

    mutating func processID() -> UInt32? { number().flatMap { UInt32(exactly: $0) } }
}
