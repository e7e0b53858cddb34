/// A growable list of items that are mutated in place. It is never copied, so no uniqueness checks are needed.
struct ActivityItems: ~Copyable {
    private var base: UnsafeMutablePointer<WindowActivity.Item>?
    private var capacity = 0
    private(set) var count = 0

    init() {}

    deinit {
        base?.deinitialize(count: count)
        base?.deallocate()
    }

    /// A pointer to the item, valid until the next append.
    @inline(__always) subscript(position: Int) -> UnsafeMutablePointer<WindowActivity.Item> {
        guard let base, position >= 0, position < count else {
            preconditionFailure("there is no item \(position)")
        }
        return base + position
    }

    mutating func append(_ item: WindowActivity.Item) {
        if count == capacity { grow() }
        guard let base else { preconditionFailure("a list that has grown has memory") }
        (base + count).initialize(to: item)
        count += 1
    }

    /// Removes the items marked as gone; the others keep their order. O(count).
    mutating func removeGone() {
        guard let base else { return }
        var kept = 0
        for position in 0..<count {
            let item = base + position
            guard !item.pointee.isGone else {
                item.deinitialize(count: 1)
                continue
            }
            if kept != position { (base + kept).moveInitialize(from: item, count: 1) }
            kept += 1
        }
        count = kept
        guard kept * 4 <= capacity else { return }
        let smaller = UnsafeMutablePointer<WindowActivity.Item>.allocate(capacity: max(2, kept))
        smaller.moveInitialize(from: base, count: kept)
        base.deallocate()
        self.base = smaller
        capacity = max(2, kept)
    }

    private mutating func grow() {
        let larger = max(2, capacity * 2)
        let moved = UnsafeMutablePointer<WindowActivity.Item>.allocate(capacity: larger)
        if let base {
            moved.moveInitialize(from: base, count: count)
            base.deallocate()
        }
        base = moved
        capacity = larger
    }
}
