public import SystemIO

// Numbers as text, written straight into the buffer: no String, no locale.
extension RawBuffer {
    @inlinable
    package mutating func appendDecimal(_ value: UInt64) {
        if value < 10 {
            append(byte: 0x30 &+ UInt8(truncatingIfNeeded: value))
            return
        }
        let pairs: StaticString = """
            0001020304050607080910111213141516171819\
            2021222324252627282930313233343536373839\
            4041424344454647484950515253545556575859\
            6061626364656667686970717273747576777879\
            8081828384858687888990919293949596979899
            """
        let table = UnsafeRawPointer(pairs.utf8Start)
        let digits = Self.decimalDigits(value)
        let target = reserve(digits)
        var rest = value
        var at = digits
        while rest >= 100 {
            let quotient = rest / 100
            let pair = Int(truncatingIfNeeded: rest &- quotient &* 100)
            at &-= 2
            (target + at).storeBytes(
                of: table.loadUnaligned(fromByteOffset: pair &* 2, as: UInt16.self),
                as: UInt16.self
            )
            rest = quotient
        }
        if rest >= 10 {
            target.storeBytes(
                of: table.loadUnaligned(fromByteOffset: Int(rest) &* 2, as: UInt16.self),
                as: UInt16.self
            )
        } else {
            target.storeBytes(of: 0x30 &+ UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        }
        commit(digits)
    }

    @inlinable
    package mutating func appendDecimal(_ value: UInt32) { appendDecimal(UInt64(value)) }

    @inlinable
    package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(byte: UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// Exactly `digits` digits, with leading zeros; `value` must fit.
    @inlinable
    package mutating func appendPadded(_ value: UInt64, digits: Int) {
        let target = reserve(digits)
        var rest = value
        var at = digits
        while at > 0 {
            at &-= 1
            let quotient = rest / 10
            (target + at).storeBytes(
                of: 0x30 &+ UInt8(truncatingIfNeeded: rest &- quotient &* 10),
                as: UInt8.self
            )
            rest = quotient
        }
        commit(digits)
    }

    /// Nanoseconds as microseconds: an integer, or three decimals where there are digits below 1 µs.
    @inlinable
    package mutating func appendMicroseconds(ns: Int64) {
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
    @inlinable
    package mutating func appendHex(_ value: UInt64) {
        let digits = max(1, (64 &- value.leadingZeroBitCount &+ 3) / 4)
        let target = reserve(digits)
        var rest = value
        var at = digits
        while at > 0 {
            at &-= 1
            let nibble = UInt8(truncatingIfNeeded: rest & 0xF)
            (target + at).storeBytes(
                of: nibble < 10 ? 0x30 &+ nibble : 0x57 &+ nibble,
                as: UInt8.self
            )
            rest >>= 4
        }
        commit(digits)
    }

    /// A number that reads back as the same double; `null` where JSON has no number for it.
    @inlinable
    package mutating func appendJSONDouble(_ value: Double) {
        if value.isFinite { appendFinite(value) } else { append("null") }
    }

    /// A number that reads back as the same double; nothing for NaN and the infinities.
    @inlinable
    package mutating func appendCSVDouble(_ value: Double) {
        if value.isFinite { appendFinite(value) }
    }

    /// An integer, or at most six decimals where these are exact, which agents' values nearly always are: n / 10⁶ is
    /// rounded correctly, so text → double gives `value` again. Else the shortest form, ten times as slow.
    @usableFromInline
    mutating func appendFinite(_ value: Double) {
        if value.magnitude < 0x1p53, value == value.rounded(.towardZero) {
            appendDecimal(Int64(value))
            return
        }
        let scaled = (value * 1e6).rounded()
        guard scaled.magnitude < 0x1p53, scaled / 1e6 == value else {
            append(value.description)
            return
        }
        let magnitude = UInt64(scaled.magnitude)
        if value < 0 { append(byte: UInt8(ascii: "-")) }
        appendDecimal(magnitude / 1_000_000)
        var below = magnitude % 1_000_000
        guard below != 0 else { return }
        var digits = 6
        while below % 10 == 0 {
            below /= 10
            digits -= 1
        }
        append(byte: UInt8(ascii: "."))
        appendPadded(below, digits: digits)
    }

    @inlinable
    static func decimalDigits(_ value: UInt64) -> Int {
        var digits = 1
        var rest = value
        while rest >= 10_000 {
            rest /= 10_000
            digits &+= 4
        }
        if rest >= 1_000 { return digits &+ 3 }
        if rest >= 100 { return digits &+ 2 }
        return rest >= 10 ? digits &+ 1 : digits
    }
}
