/// The events of one batch in the order they stand there; kept and filled again for the next batch.
/// Owns its memory: 16 bytes an event.
@safe
package struct EventIndex: ~Copyable {
    @usableFromInline
    package private(set) var base: UnsafeMutablePointer<EventEntry>
    package private(set) var count = 0
    private var capacity: Int

    private static let capacityMin = 512

    package init() {
        capacity = Self.capacityMin
        unsafe base = .allocate(capacity: capacity)
    }

    deinit { unsafe base.deallocate() }

    @inlinable
    package subscript(position: Int) -> EventEntry {
        precondition(position >= 0 && position < count)
        return unsafe base[position]
    }

    package mutating func removeAll() { count = 0 }

    @inline(__always)
    mutating func append(_ entry: EventEntry) {
        if count == capacity { grow() }
        unsafe base[count] = entry
        count &+= 1
    }

    /// Empties it and gives memory back that only a very large batch needed.
    package mutating func shrink(keeping events: Int = 65_536) {
        count = 0
        guard capacity > max(events, Self.capacityMin) else { return }
        unsafe base.deallocate()
        capacity = max(events, Self.capacityMin)
        unsafe base = .allocate(capacity: capacity)
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<EventEntry>.allocate(capacity: capacity * 2)
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = larger
        capacity *= 2
    }
}
