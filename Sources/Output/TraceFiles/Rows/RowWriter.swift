public import SystemIO

/// Writes one row directly into a run buffer's memory. The cursor stays in registers, whereas the appends of
/// `RawBuffer` check the capacity and update the count each time. Between two texts there are at least `slackBytes` of
/// room, more than the fixed parts and numbers of any row; a text reserves its own room.
///
/// `RowTarget` begins and ends the row.
@safe
@usableFromInline package struct RowWriter: TextWriter {
    @inlinable static var slackBytes: Int { 2_048 }

    @usableFromInline var at: UnsafeMutableRawPointer
    /// The end of the reserved room.
    @usableFromInline private(set) var end: UnsafeMutableRawPointer
    @usableFromInline let rows: Unmanaged<RunBuffer>

    @inlinable @inline(__always) init(
        _ rows: Unmanaged<RunBuffer>,
        at: UnsafeMutableRawPointer,
        end: UnsafeMutableRawPointer
    ) {
        unsafe self.rows = unsafe rows
        unsafe self.at = unsafe at
        unsafe self.end = unsafe end
    }

    private static func bounds(
        of room: UnsafeMutableRawBufferPointer
    ) -> (UnsafeMutableRawPointer, UnsafeMutableRawPointer) {
        guard let base = room.baseAddress else { preconditionFailure("a buffer has memory") }
        return unsafe (base, base + room.count)
    }

    // MARK: Room

    /// Returns the position in the row; the slack has enough room for a fixed part.
    @inlinable @inline(__always) package mutating func reserveFixed() -> UnsafeMutableRawPointer {
        unsafe at
    }

    /// Reserves `count` bytes and the slack after them.
    @inlinable @inline(__always) package mutating func reserve(
        _ count: Int
    ) -> UnsafeMutableRawPointer {
        if unsafe end - at < count &+ Self.slackBytes { grow(count) }
        return unsafe at
    }

    /// Adds `count` bytes, written to reserved room, to the row.
    @inlinable @inline(__always) package mutating func commit(_ count: Int) {
        unsafe at += count
        unsafe assert(at <= end, "the fixed parts of a row are longer than the slack")
    }

    @inline(never) @usableFromInline mutating func grow(_ count: Int) {
        let at = unsafe at
        unsafe (self.at, end) = unsafe Self.bounds(
            of: rows._withUnsafeGuaranteedRef { unsafe $0.room(at, count) }
        )
    }

    /// Runs a rare operation on the run buffer itself, outside the hot path.
    @inline(never) @usableFromInline package mutating func throughBuffer<Result>(
        _ body: (inout RawBuffer) -> Result
    ) -> Result {
        let at = unsafe at
        let result = unsafe rows._withUnsafeGuaranteedRef { unsafe $0.append(at, body) }
        unsafe (self.at, end) = unsafe Self.bounds(
            of: rows._withUnsafeGuaranteedRef { unsafe $0.room(nil, 0) }
        )
        return result
    }

    // MARK: Fixed parts

    /// Appends a literal.
    @inlinable @inline(__always) package mutating func append(_ text: StaticString) {
        unsafe at.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        commit(text.utf8CodeUnitCount)
    }

    /// Appends a byte.
    @inlinable @inline(__always) package mutating func append(byte: UInt8) {
        unsafe at.storeBytes(of: byte, as: UInt8.self)
        commit(1)
    }

    /// Appends the first `count` of 24 readable bytes. Always copies all 24, which is faster than copying a variable
    /// number.
    @inlinable @inline(__always) package mutating func append(
        _ count: Int,
        of24 source: UnsafeRawPointer
    ) {
        unsafe at.copyMemory(from: source, byteCount: 24)
        commit(count)
    }

    /// Removes the last byte if it is a comma.
    @inlinable @inline(__always) package mutating func dropComma() {
        if unsafe (at - 1).load(as: UInt8.self) == UInt8(ascii: ",") { unsafe at -= 1 }
    }
}
