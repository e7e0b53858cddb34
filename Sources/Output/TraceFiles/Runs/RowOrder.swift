public import SystemIO
public import TraceModel

/// The position of a rendered row in its buffer, and its sort key.
@usableFromInline struct RowKey: BitwiseCopyable {
    @usableFromInline let ts: EpochNanoseconds
    @usableFromInline let pid: UInt32
    @usableFromInline let host: UInt32
    /// The offset of the row's bytes. From `keptBase` on it refers to the arena of the rows that stayed at the last
    /// flush.
    @usableFromInline var offset: UInt32
    @usableFromInline let length: UInt32

    static var keptBase: UInt32 { 1 << 31 }

    @inlinable @inline(__always) init(
        ts: EpochNanoseconds,
        pid: UInt32,
        host: UInt32,
        offset: UInt32,
        length: UInt32
    ) {
        self.ts = ts
        self.pid = pid
        self.host = host
        self.offset = offset
        self.length = length
    }

    var isKept: Bool { offset >= Self.keptBase }

    var range: Range<Int> { Int(offset)..<Int(offset) + Int(length) }

    /// Visits the byte ranges of rows in order, adjacent ranges merged into one. Calls `prefetch` with each row's range
    /// a few rows earlier.
    @inline(__always) static func forEachRange<Failure: Error>(
        of rows: UnsafeBufferPointer<RowKey>,
        prefetch: (Range<Int>) -> Void,
        _ visit: (Range<Int>) throws(Failure) -> Void
    ) throws(Failure) {
        var joined = 0..<0
        for at in rows.indices {
            if at + prefetchDistance < rows.count {
                unsafe prefetch(rows[at + prefetchDistance].range)
            }
            let range = unsafe rows[at].range
            if range.lowerBound != joined.upperBound {
                if !joined.isEmpty { try visit(joined) }
                joined = range
            }
            joined = joined.lowerBound..<range.upperBound
        }
        if !joined.isEmpty { try visit(joined) }
    }

    /// The number of rows between the prefetch and the visit of a row.
    private static var prefetchDistance: Int { 8 }
}

/// Natural merge sort for input that consists of a few ascending spans, such as the batches of several senders. Merges
/// neighbouring spans, stably, and moves only the parts that overlap. O(n) if sorted, otherwise O(n log spans). Keeps
/// its memory for the next sort.
@usableFromInline package struct NaturalMergeSort<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var ends: RawArray<Int>
    @usableFromInline var spare: RawArray<Element>

    @inlinable package init() {
        ends = RawArray()
        spare = RawArray()
    }

    /// Sorts in place. Equal elements keep their order.
    @inlinable @inline(__always) package mutating func sort(
        _ elements: UnsafeMutableBufferPointer<Element>,
        by precedes: (Element, Element) -> Bool
    ) {
        ends.removeAll()
        for at in elements.indices.dropFirst() where unsafe precedes(elements[at], elements[at - 1])
        {
            ends.append(at)
        }
        ends.append(elements.count)
        while ends.count > 1 {
            let spanCount = ends.count
            var start = 0
            ends.removeAll()
            // The write position never passes the read position.
            for at in stride(from: 0, to: spanCount, by: 2) {
                let middle = unsafe ends.base[at]
                let end = unsafe at + 1 < spanCount ? ends.base[at + 1] : middle
                if end > middle { unsafe merge(elements, start, middle, end, by: precedes) }
                ends.append(end)
                start = end
            }
        }
    }

    /// Merges two neighbouring spans. Copies the part of the first one that overlaps the second aside.
    @inlinable @inline(__always) mutating func merge(
        _ elements: UnsafeMutableBufferPointer<Element>,
        _ start: Int,
        _ middle: Int,
        _ end: Int,
        by precedes: (Element, Element) -> Bool
    ) {
        var place = unsafe overlap(elements, start, middle, by: precedes)
        spare.removeAll()
        unsafe spare.append(contentsOf: UnsafeBufferPointer(rebasing: elements[place..<middle]))
        var aside = 0
        var next = middle
        while aside < spare.count, next < end {
            if unsafe precedes(elements[next], spare.base[aside]) {
                unsafe elements[place] = unsafe elements[next]
                next &+= 1
            } else {
                unsafe elements[place] = unsafe spare.base[aside]
                aside &+= 1
            }
            place &+= 1
        }
        for at in aside..<spare.count {
            unsafe elements[place] = unsafe spare.base[at]
            place &+= 1
        }
    }

    /// Binary search in the span before `middle`: the first element that the one at `middle` precedes.
    @inlinable @inline(__always) func overlap(
        _ elements: UnsafeMutableBufferPointer<Element>,
        _ start: Int,
        _ middle: Int,
        by precedes: (Element, Element) -> Bool
    ) -> Int {
        let first = unsafe elements[middle]
        var (low, high) = (start, middle)
        while low < high {
            let half = (low &+ high) / 2
            if unsafe precedes(first, elements[half]) { high = half } else { low = half &+ 1 }
        }
        return low
    }

    /// Releases memory beyond `count` elements, after an unusually large sort.
    package mutating func shrink(keeping count: Int) {
        spare.removeAll()
        spare.shrink(keeping: count)
        ends.removeAll()
        ends.shrink(keeping: count)
    }
}

/// The memory of a run buffer's rows: those that arrived since the last flush, and those that stayed at it. Valid until
/// the next row is appended.
@safe
struct RowArenas {
    let text: UnsafeRawBufferPointer
    let kept: UnsafeRawBufferPointer

    /// The bytes of a range of adjacent rows, given by the offsets of their keys.
    @inline(__always) subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
        let base = Int(RowKey.keptBase)
        return if range.lowerBound < base {
            unsafe UnsafeRawBufferPointer(rebasing: text[range])
        } else {
            unsafe UnsafeRawBufferPointer(
                rebasing: kept[range.lowerBound - base..<range.upperBound - base]
            )
        }
    }

    /// Prefetches the bytes of a row.
    @inline(__always) func prefetch(_ range: Range<Int>) {
        let bytes = unsafe self[range]
        if let start = bytes.baseAddress { unsafe SystemIO.prefetch(start, byteCount: bytes.count) }
    }
}
