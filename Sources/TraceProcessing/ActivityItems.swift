/// A growing list of items that are changed in place, of which nobody has a copy: no checks of uniqueness.
struct ActivityItems: ~Copyable {
    private var base: UnsafeMutablePointer<WindowActivity.Item>?
    private var capacity = 0
    private(set) var count = 0

    init() {}

    deinit {
        base?.deinitialize(count: count)
        base?.deallocate()
    }

    /// Valid until the next append.
    @inline(__always)
    subscript(position: Int) -> UnsafeMutablePointer<WindowActivity.Item> {
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
