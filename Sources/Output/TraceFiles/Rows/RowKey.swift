public import TraceModel

/// Where a rendered row stands in its buffer, and what it is sorted by.
@usableFromInline struct RowKey: BitwiseCopyable {
    @usableFromInline let ts: EpochNanoseconds
    @usableFromInline let pid: UInt32
    @usableFromInline let host: UInt32
    /// Where its bytes begin; from `keptBase` on in the arena of the rows that stayed at the last flush.
    @usableFromInline var offset: UInt32
    @usableFromInline let length: UInt32

    static var keptBase: UInt32 { 1 << 31 }

    @inlinable @inline(__always) init(ts: EpochNanoseconds, pid: UInt32, host: UInt32, offset: UInt32, length: UInt32) {
        self.ts = ts
        self.pid = pid
        self.host = host
        self.offset = offset
        self.length = length
    }

    var isKept: Bool { offset >= Self.keptBase }

    var place: Range<Int> { Int(offset)..<Int(offset) + Int(length) }

    /// Visits the places of rows, those that lie one behind the other together; `lookAhead` is shown each place some rows
    /// before.
    @inline(__always) static func forEachStretch<Failure: Error>(
        of rows: UnsafeBufferPointer<RowKey>, lookAhead: (Range<Int>) -> Void,
        _ visit: (Range<Int>) throws(Failure) -> Void
    ) throws(Failure) {
        var stretch = 0..<0
        for at in rows.indices {
            if at + lead < rows.count { lookAhead(rows[at + lead].place) }
            let place = rows[at].place
            if place.lowerBound != stretch.upperBound {
                if !stretch.isEmpty { try visit(stretch) }
                stretch = place
            }
            stretch = stretch.lowerBound..<place.upperBound
        }
        if !stretch.isEmpty { try visit(stretch) }
    }

    /// How many rows `lookAhead` is ahead.
    private static var lead: Int { 8 }
}
