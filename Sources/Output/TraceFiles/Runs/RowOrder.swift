public import SystemIO
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

/// Sorts what comes in a few ascending stretches, as the batches of several senders do: a stable merge of
/// neighbouring stretches, of which only the parts that overlap are touched. O(n) in order, else
/// O(n log stretches). Keeps its memory.
@usableFromInline package struct StretchSort<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var ends: RawArray<Int>
    @usableFromInline var spare: RawArray<Element>

    @inlinable package init() {
        ends = RawArray()
        spare = RawArray()
    }

    /// Elements of which neither precedes the other keep their order.
    @inlinable @inline(__always) package mutating func sort(
        _ elements: UnsafeMutableBufferPointer<Element>, by precedes: (Element, Element) -> Bool
    ) {
        ends.removeAll()
        for at in elements.indices.dropFirst() where precedes(elements[at], elements[at - 1]) { ends.append(at) }
        ends.append(elements.count)
        while ends.count > 1 {
            let stretches = ends.count
            var start = 0
            ends.removeAll()
            // What is appended never overtakes what is still to be read.
            for at in stride(from: 0, to: stretches, by: 2) {
                let middle = ends.base[at]
                let end = at + 1 < stretches ? ends.base[at + 1] : middle
                if end > middle { merge(elements, start, middle, end, by: precedes) }
                ends.append(end)
                start = end
            }
        }
    }

    /// Merges two neighbouring stretches: the end of the first one that overlaps with the second moves aside.
    @inlinable @inline(__always) mutating func merge(
        _ elements: UnsafeMutableBufferPointer<Element>, _ start: Int, _ middle: Int, _ end: Int,
        by precedes: (Element, Element) -> Bool
    ) {
        var place = overlap(elements, start, middle, by: precedes)
        spare.removeAll()
        spare.append(contentsOf: UnsafeBufferPointer(rebasing: elements[place..<middle]))
        var aside = 0
        var next = middle
        while aside < spare.count, next < end {
            if precedes(elements[next], spare.base[aside]) {
                elements[place] = elements[next]
                next &+= 1
            } else {
                elements[place] = spare.base[aside]
                aside &+= 1
            }
            place &+= 1
        }
        for at in aside..<spare.count {
            elements[place] = spare.base[at]
            place &+= 1
        }
    }

    /// Where in the stretch before `middle` the first element stands that the one in `middle` precedes.
    @inlinable @inline(__always) func overlap(
        _ elements: UnsafeMutableBufferPointer<Element>, _ start: Int, _ middle: Int,
        by precedes: (Element, Element) -> Bool
    ) -> Int {
        let first = elements[middle]
        var (low, high) = (start, middle)
        while low < high {
            let half = (low &+ high) / 2
            if precedes(first, elements[half]) { high = half } else { low = half &+ 1 }
        }
        return low
    }

    /// Gives back memory that only a very large sort needed.
    package mutating func shrink(keeping count: Int) {
        spare.removeAll()
        spare.shrink(keeping: count)
        ends.removeAll()
        ends.shrink(keeping: count)
    }
}

/// Where the rows of a run buffer lie: those that stayed at its last flush, and those that came since. Valid until
/// the next row.
struct RowArenas {
    let text: UnsafeRawBufferPointer
    let kept: UnsafeRawBufferPointer

    /// The bytes of rows that lie one behind the other, by the offsets of their keys.
    @inline(__always) subscript(stretch: Range<Int>) -> UnsafeRawBufferPointer {
        let base = Int(RowKey.keptBase)
        return if stretch.lowerBound < base { UnsafeRawBufferPointer(rebasing: text[stretch]) } else {
            UnsafeRawBufferPointer(rebasing: kept[stretch.lowerBound - base..<stretch.upperBound - base])
        }
    }

    /// Asks for the memory of a row.
    @inline(__always) func prefetch(_ place: Range<Int>) {
        let bytes = self[place]
        if let start = bytes.baseAddress { SystemIO.prefetch(start, byteCount: bytes.count) }
    }
}
