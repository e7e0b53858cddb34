public import SystemIO
public import TraceModel

/// Appends text to memory: either a row of a run buffer (`RowWriter`), or any buffer (`RawBuffer`). All methods are
/// inlined into their callers, so that the hot path calls no witness.
@usableFromInline package protocol TextWriter: ~Copyable {
    /// Returns room for a number or another part of at most 32 bytes. `commit` adds it to the text.
    mutating func reserveFixed() -> UnsafeMutableRawPointer

    /// Returns room for `count` bytes. `commit` adds them to the text.
    mutating func reserve(_ count: Int) -> UnsafeMutableRawPointer

    /// Adds `count` bytes, written to reserved room, to the text.
    mutating func commit(_ count: Int)

    mutating func append(_ text: StaticString)

    /// Runs a rare operation on the buffer itself, outside the hot path.
    mutating func throughBuffer<Result>(_ body: (inout RawBuffer) -> Result) -> Result
}

extension RawBuffer: TextWriter {
    /// Returns room for at most 32 bytes.
    @inlinable @inline(__always) package mutating func reserveFixed() -> UnsafeMutableRawPointer {
        unsafe reserve(32)
    }

    /// Runs the operation on this buffer.
    @inlinable @inline(__always) package mutating func throughBuffer<Result>(
        _ body: (inout RawBuffer) -> Result
    ) -> Result { body(&self) }
}

// Numbers as text: no `String`, no locale.
extension TextWriter where Self: ~Copyable {
    /// Appends a number that was rendered before.
    @inlinable @inline(__always) package mutating func append(_ number: borrowing NumberText) {
        let target = unsafe reserveFixed()
        unsafe commit(number.write(at: target) - target)
    }

    /// Appends decimal digits.
    @inlinable @inline(__always) package mutating func appendDecimal(_ value: UInt64) {
        append(NumberText(value))
    }

    /// Appends decimal digits.
    @inlinable @inline(__always) package mutating func appendDecimal(_ value: UInt32) {
        appendDecimal(UInt64(value))
    }

    /// Appends decimal digits, with a minus sign if the value is negative.
    @inlinable @inline(__always) package mutating func appendDecimal(_ value: Int64) {
        append(NumberText(value))
    }

    /// Appends nanoseconds as microseconds: an integer, or three decimals if the value is not a whole number of
    /// microseconds. `withDecimals` always appends the decimals.
    @inlinable @inline(__always) package mutating func appendMicroseconds(
        ns: Int64,
        withDecimals: Bool = false
    ) {
        let whole = ns.magnitude / 1_000
        append(NumberText(magnitude: whole, isNegative: ns < 0))
        let below = ns.magnitude &- whole &* 1_000
        guard withDecimals || below != 0 else { return }
        // The point takes the place of the fourth digit, which is 0.
        let digits = DecimalText.fourDigits(UInt32(truncatingIfNeeded: below)) | 0x3030_302E
        unsafe reserveFixed().storeBytes(of: digits, as: UInt32.self)
        commit(4)
    }

    /// Appends lower-case hexadecimal digits without prefix or leading zeros.
    @inlinable @inline(__always) package mutating func appendHex(_ value: UInt64) {
        let target = unsafe reserveFixed()
        unsafe commit(DecimalText.writeHex(value, at: target) - target)
    }

    /// Appends a number that reads back as the same double; `null` for NaN and the infinities.
    @inlinable @inline(__always) package mutating func appendJSONDouble(_ value: Double) {
        appendJSONDouble(DoubleText(value))
    }

    /// Appends a rendered number like `appendJSONDouble(_: Double)`.
    @inlinable @inline(__always) package mutating func appendJSONDouble(
        _ number: borrowing DoubleText
    ) {
        if number.isLong { return appendLong(number.value, otherwise: "null") }
        append(number.whole)
        if !number.isWhole { appendDecimals(number) }
    }

    /// Appends a number that reads back as the same double; nothing for NaN and the infinities. The text always has a
    /// point or an exponent, so that readers of many tables infer the same type for a column in all of them.
    @inlinable @inline(__always) package mutating func appendCSVDouble(_ value: Double) {
        appendCSVDouble(DoubleText(value))
    }

    /// Appends a rendered number like `appendCSVDouble(_: Double)`.
    @inlinable @inline(__always) package mutating func appendCSVDouble(
        _ number: borrowing DoubleText
    ) {
        if number.isLong { return appendLong(number.value, otherwise: "") }
        append(number.whole)
        appendDecimals(number)
    }

    @inlinable @inline(__always) mutating func appendDecimals(_ number: borrowing DoubleText) {
        let target = unsafe reserveFixed()
        unsafe target.storeBytes(of: UInt8(ascii: "."), as: UInt8.self)
        unsafe (target + 1).storeBytes(of: number.decimals, as: UInt64.self)
        commit(1 + Int(number.decimalCount))
    }

    /// Appends the shortest form, which has a point or an exponent; `text` for NaN and the infinities.
    @inline(never) @usableFromInline mutating func appendLong(
        _ value: Double,
        otherwise text: StaticString
    ) {
        throughBuffer {
            if value.isFinite { $0.append(value.description) } else { $0.append(text) }
        }
    }
}

// Text of events.
extension TextWriter where Self: ~Copyable {
    /// Appends bytes unchanged.
    @inlinable @inline(__always) package mutating func append(_ view: ByteView) {
        let target = unsafe reserve(view.count)
        guard let source = unsafe view.start else { return }
        unsafe target.copyShort(from: source, byteCount: view.count)
        commit(view.count)
    }

    /// Appends a quoted JSON string. UTF-8 is written unescaped, because an escaped surrogate pair makes viewers reject
    /// the whole file; control characters are escaped. Each maximal invalid part, as Swift's `String` defines it,
    /// becomes one U+FFFD. Returns the number of these.
    @inlinable @inline(__always) @discardableResult package mutating func appendJSONString(
        _ view: ByteView
    ) -> Int {
        let count = view.count
        let target = unsafe reserve(count &+ 2)
        guard let source = unsafe view.start, count > 0 else {
            append("\"\"")
            return 0
        }
        guard unsafe RawBuffer.isPlainJSON(source, count) else {
            return throughBuffer { $0.appendEscapedJSONString(view) }
        }
        unsafe target.storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
        unsafe (target + 1).copyShort(from: source, byteCount: count)
        unsafe (target + (count &+ 1)).storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
        commit(count &+ 2)
        return 0
    }

    /// Appends one text field of RFC 4180, quoted only if it contains a quote, comma, CR or LF. Invalid UTF-8 becomes
    /// U+FFFD; returns the number of these. With `guardsFormulas`, text that a spreadsheet would run as a formula (it
    /// starts with `=`, `+`, `-`, `@`, a tab or a CR) gets a leading apostrophe.
    @inlinable @inline(__always) @discardableResult package mutating func appendCSVField(
        _ view: ByteView,
        guardsFormulas: Bool = false
    ) -> Int {
        let count = view.count
        let target = unsafe reserve(count)
        guard let source = unsafe view.start, count > 0 else { return 0 }
        let isGuarded = unsafe guardsFormulas && RawBuffer.beginsFormula(source)
        guard !isGuarded, unsafe RawBuffer.isPlainCSV(source, count) else {
            return throughBuffer { $0.appendQuotedCSVField(view, isGuarded: isGuarded) }
        }
        unsafe target.copyShort(from: source, byteCount: count)
        commit(count)
        return 0
    }
}

extension UnsafeMutableRawPointer {
    /// Copies a text, usually a short one: overlapping copies of a fixed size are faster than a call to `memcpy`.
    @inlinable @inline(__always) func copyShort(from source: UnsafeRawPointer, byteCount count: Int)
    {
        if count >= 16, count <= 32 {
            unsafe copyMemory(from: source, byteCount: 16)
            unsafe (self + (count &- 16)).copyMemory(from: source + (count &- 16), byteCount: 16)
        } else if count >= 8, count < 16 {
            unsafe copyMemory(from: source, byteCount: 8)
            unsafe (self + (count &- 8)).copyMemory(from: source + (count &- 8), byteCount: 8)
        } else if count > 32, count <= 64 {
            unsafe copyMemory(from: source, byteCount: 32)
            unsafe (self + (count &- 32)).copyMemory(from: source + (count &- 32), byteCount: 32)
        } else {
            unsafe copyMemory(from: source, byteCount: count)
        }
    }
}
