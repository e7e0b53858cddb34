public import SystemIO

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
