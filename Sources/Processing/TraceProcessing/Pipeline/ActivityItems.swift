/// A growable list of items that are mutated in place. It is never copied, so no uniqueness checks are needed.
@safe
struct ActivityItems: ~Copyable {
    private var base: UnsafeMutablePointer<WindowActivity.Item>?
    private var capacity = 0
    private(set) var count = 0

    init() {}

    deinit {
        unsafe base?.deinitialize(count: count)
        unsafe base?.deallocate()
    }

    /// A pointer to the item, valid until the next append.
    @inline(__always) subscript(position: Int) -> UnsafeMutablePointer<WindowActivity.Item> {
        guard let base = unsafe base, position >= 0, position < count else {
            preconditionFailure("there is no item \(position)")
        }
        return unsafe base + position
    }

    mutating func append(_ item: WindowActivity.Item) {
        if count == capacity { grow() }
        guard let base = unsafe base else {
            preconditionFailure("a list that has grown has memory")
        }
        unsafe (base + count).initialize(to: item)
        count += 1
    }

    /// Removes the items marked as gone; the others keep their order. O(count).
    mutating func removeGone() {
        guard let base = unsafe base else { return }
        var kept = 0
        for position in 0..<count {
            let item = unsafe base + position
            guard unsafe !item.pointee.isGone else {
                unsafe item.deinitialize(count: 1)
                continue
            }
            if kept != position { unsafe (base + kept).moveInitialize(from: item, count: 1) }
            kept += 1
        }
        count = kept
        guard kept * 4 <= capacity else { return }
        let smaller = UnsafeMutablePointer<WindowActivity.Item>.allocate(capacity: max(2, kept))
        unsafe smaller.moveInitialize(from: base, count: kept)
        unsafe base.deallocate()
        unsafe self.base = unsafe smaller
        capacity = max(2, kept)
    }

    private mutating func grow() {
        let larger = max(2, capacity * 2)
        let moved = UnsafeMutablePointer<WindowActivity.Item>.allocate(capacity: larger)
        if let base = unsafe base {
            unsafe moved.moveInitialize(from: base, count: count)
            unsafe base.deallocate()
        }
        unsafe base = unsafe moved
        capacity = larger
    }
}
