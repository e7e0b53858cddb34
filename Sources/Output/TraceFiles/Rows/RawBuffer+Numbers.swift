public import SystemIO

// Numbers as text, written straight into the buffer: no String, no locale.
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

    /// Exactly `digits` digits, with leading zeros; `value` must fit.
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

    /// Nanoseconds as microseconds: an integer, or three decimals where there are digits below 1 µs.
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

    /// Lower-case hexadecimal digits without prefix or leading zeros.
    @inlinable package mutating func appendHex(_ value: UInt64) {
        let target = reserve(DecimalText.bytesMax)
        commit(DecimalText.writeHex(value, at: target) - target)
    }

    /// A number that reads back as the same double; `null` where JSON has no number for it.
    @inlinable package mutating func appendJSONDouble(_ value: Double) {
        if value.isFinite { appendFinite(value, hasDecimals: false) } else { append("null") }
    }

    /// A number that reads back as the same double; nothing for NaN and the infinities. Always with a point or an exponent:
    /// tools that read many tables see one type in a column, whatever values a table has.
    @inlinable package mutating func appendCSVDouble(_ value: Double) {
        if value.isFinite { appendFinite(value, hasDecimals: true) }
    }

    /// An integer, or at most six decimals where these are exact, which agents' values nearly always are. Else the
    /// shortest form, ten times as slow, which has a point or an exponent.
    @usableFromInline mutating func appendFinite(_ value: Double, hasDecimals: Bool) {
        let target = reserve(DecimalText.bytesMax + 8)
        guard let end = DecimalText.write(value, hasDecimals: hasDecimals, at: target) else {
            return append(value.description)
        }
        commit(end - target)
    }
}
