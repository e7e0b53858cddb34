public import SystemIO
public import TraceModel

/// Writes one row directly into a run buffer's memory. The cursor stays in registers, whereas the appends of
/// `RawBuffer` check the capacity and update the count each time. Between two texts there are at least `slackBytes` of
/// room, more than the fixed parts and numbers of any row; a text reserves its own room.
///
/// `RowTarget` begins and ends the row.
@usableFromInline package struct RowWriter {
    @inlinable static var slackBytes: Int { 2_048 }

    @usableFromInline var at: UnsafeMutableRawPointer
    /// The end of the reserved room.
    @usableFromInline private(set) var end: UnsafeMutableRawPointer
    @usableFromInline let rows: Unmanaged<RunBuffer>

    @inlinable @inline(__always) init(
        _ rows: Unmanaged<RunBuffer>, at: UnsafeMutableRawPointer, end: UnsafeMutableRawPointer
    ) {
        self.rows = rows
        self.at = at
        self.end = end
    }

    private static func bounds(
        of room: UnsafeMutableRawBufferPointer
    ) -> (UnsafeMutableRawPointer, UnsafeMutableRawPointer) {
        guard let base = room.baseAddress else { preconditionFailure("a buffer has memory") }
        return (base, base + room.count)
    }

    // MARK: Fixed parts and numbers

    @inlinable @inline(__always) mutating func advance(_ count: Int) {
        at += count
        assert(at <= end, "the fixed parts of a row are longer than the slack")
    }

    @inlinable @inline(__always) package mutating func append(_ text: StaticString) {
        at.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        advance(text.utf8CodeUnitCount)
    }

    @inlinable @inline(__always) package mutating func append(byte: UInt8) {
        at.storeBytes(of: byte, as: UInt8.self)
        advance(1)
    }

    /// Appends the first `count` of 24 readable bytes. Always copies all 24, which is faster than copying a variable
    /// number.
    @inlinable @inline(__always) package mutating func append(_ count: Int, of24 source: UnsafeRawPointer) {
        at.copyMemory(from: source, byteCount: 24)
        advance(count)
    }

    @inlinable @inline(__always) package mutating func appendDecimal(_ value: UInt64) {
        at = DecimalText.write(value, at: at)
        advance(0)
    }

    @inlinable @inline(__always) package mutating func appendDecimal(_ value: UInt32) { appendDecimal(UInt64(value)) }

    @inlinable @inline(__always) package mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(byte: UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    /// Like `RawBuffer.appendMicroseconds`.
    @inlinable @inline(__always) package mutating func appendMicroseconds(ns: Int64) {
        if ns < 0 { append(byte: UInt8(ascii: "-")) }
        let magnitude = ns.magnitude
        let whole = magnitude / 1_000
        appendDecimal(whole)
        let below = magnitude &- whole &* 1_000
        guard below != 0 else { return }
        append(byte: UInt8(ascii: "."))
        DecimalText.writeThree(below, at: at)
        advance(3)
    }

    /// Appends microseconds with three decimals, even if these are zero.
    @inlinable @inline(__always) package mutating func appendMicroseconds(withDecimals ns: Int64) {
        if ns < 0 { append(byte: UInt8(ascii: "-")) }
        let magnitude = ns.magnitude
        let whole = magnitude / 1_000
        appendDecimal(whole)
        append(byte: UInt8(ascii: "."))
        DecimalText.writeThree(magnitude &- whole &* 1_000, at: at)
        advance(3)
    }

    @inlinable @inline(__always) package mutating func appendHex(_ value: UInt64) {
        at = DecimalText.writeHex(value, at: at)
        advance(0)
    }

    /// Like `RawBuffer.appendJSONDouble`.
    @inlinable @inline(__always) package mutating func appendJSONDouble(_ value: Double) {
        if value.isFinite { appendFinite(value, hasDecimals: false) } else { append("null") }
    }

    /// Like `RawBuffer.appendCSVDouble`.
    @inlinable @inline(__always) package mutating func appendCSVDouble(_ value: Double) {
        if value.isFinite { appendFinite(value, hasDecimals: true) }
    }

    @usableFromInline mutating func appendFinite(_ value: Double, hasDecimals: Bool) {
        guard let end = DecimalText.write(value, hasDecimals: hasDecimals, at: at) else {
            return throughBuffer { $0.appendFinite(value, hasDecimals: hasDecimals) }
        }
        at = end
        advance(0)
    }

    /// Removes the last byte if it is a comma.
    @inlinable @inline(__always) package mutating func dropComma() {
        if (at - 1).load(as: UInt8.self) == UInt8(ascii: ",") { at -= 1 }
    }

    // MARK: Names

    /// Like `RawBuffer.appendJSONString`.
    @inlinable @inline(__always) @discardableResult package mutating func appendJSONString(_ view: ByteView) -> Int {
        makeRoom(view.count)
        guard let source = view.start, view.count > 0 else {
            append("\"\"")
            return 0
        }
        guard RawBuffer.isPlainJSON(source, view.count) else {
            return throughBuffer { $0.appendEscapedJSONString(view) }
        }
        append(byte: UInt8(ascii: "\""))
        copy(source, view.count)
        append(byte: UInt8(ascii: "\""))
        return 0
    }

    /// Like `RawBuffer.appendCSVField`.
    @inlinable @inline(__always) package mutating func appendCSVField(_ view: ByteView, guardsFormulas: Bool) {
        makeRoom(view.count)
        guard let source = view.start, view.count > 0 else { return }
        let isGuarded = guardsFormulas && RawBuffer.beginsFormula(source)
        guard !isGuarded, RawBuffer.isPlainCSV(source, view.count) else {
            _ = throughBuffer { $0.appendCSVField(view, guardsFormulas: guardsFormulas) }
            return
        }
        copy(source, view.count)
    }

    /// Appends bytes unchanged.
    @inlinable @inline(__always) package mutating func append(_ view: ByteView) {
        makeRoom(view.count)
        guard let source = view.start else { return }
        copy(source, view.count)
    }

    /// Copies a text, usually a short one: overlapping copies of a fixed size are faster than a call to `memcpy`.
    @inlinable @inline(__always) mutating func copy(_ source: UnsafeRawPointer, _ count: Int) {
        if count >= 16, count <= 32 {
            at.copyMemory(from: source, byteCount: 16)
            (at + (count &- 16)).copyMemory(from: source + (count &- 16), byteCount: 16)
        } else if count >= 8, count < 16 {
            at.copyMemory(from: source, byteCount: 8)
            (at + (count &- 8)).copyMemory(from: source + (count &- 8), byteCount: 8)
        } else if count > 32, count <= 64 {
            at.copyMemory(from: source, byteCount: 32)
            (at + (count &- 32)).copyMemory(from: source + (count &- 32), byteCount: 32)
        } else {
            at.copyMemory(from: source, byteCount: count)
        }
        advance(count)
    }

    /// Reserves `count` bytes and the slack after them.
    @inlinable @inline(__always) mutating func makeRoom(_ count: Int) {
        if end - at < count &+ Self.slackBytes { grow(count) }
    }

    @inline(never) @usableFromInline mutating func grow(_ count: Int) {
        let at = at
        (self.at, end) = Self.bounds(of: rows._withUnsafeGuaranteedRef { $0.room(at, count) })
    }

    /// Runs a rare operation on the buffer itself, outside the hot path.
    @inline(never) @usableFromInline mutating func throughBuffer<Result>(_ body: (inout RawBuffer) -> Result) -> Result
    {
        let at = at
        let result = rows._withUnsafeGuaranteedRef { $0.append(at, body) }
        (self.at, end) = Self.bounds(of: rows._withUnsafeGuaranteedRef { $0.room(nil, 0) })
        return result
    }
}
