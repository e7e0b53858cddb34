package import TraceModel
package import TraceWire

/// Where each event, and each name, of a commit group lies and which slot it goes to: 12 bytes each in one
/// raw array that the group keeps and fills again.
package struct RoutedEvents: ~Copyable {
    package struct Entry: BitwiseCopyable {
        /// From the batch's first byte to the tag of the event's field.
        let offset: UInt32
        /// Tag, length and payload.
        let length: UInt32
        let resource: UInt8
        let slot: UInt8

        /// An event as the scanner found it, in a batch whose host has this hash.
        package init(_ event: EventEntry, hostHash: UInt64) {
            offset = event.offset
            length = event.length
            resource = event.resource.rawValue
            slot = Slot.of(hostHash: hostHash, processID: event.processID)
        }

        /// A name of a process or a thread, for one of the resources that show it.
        package init(_ name: NameEntry, resource: Resource, hostHash: UInt64) {
            offset = name.offset
            length = name.length
            self.resource = resource.rawValue
            slot = Slot.of(hostHash: hostHash, processID: name.processID)
        }

        /// Events of one slot, side by side.
        init(_ range: Range<Int>, resource: Resource, slot: UInt8) {
            offset = UInt32(range.lowerBound)
            length = UInt32(range.count)
            self.resource = resource.rawValue
            self.slot = slot
        }
    }

    private var base: UnsafeMutablePointer<Entry>
    private var capacity = 1_024
    package private(set) var count = 0
    /// Memory, in bytes.
    var memoryBytes: Int { capacity * MemoryLayout<Entry>.stride }

    package init() { base = .allocate(capacity: capacity) }

    deinit { base.deallocate() }

    subscript(index: Int) -> Entry {
        precondition(index >= 0 && index < count)
        return base[index]
    }

    package mutating func append(_ entry: Entry) {
        if count == capacity {
            let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
            larger.moveInitialize(from: base, count: count)
            base.deallocate()
            base = larger
            capacity *= 2
        }
        (base + count).initialize(to: entry)
        count += 1
    }

    mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    /// Keeps only the entries of these ranges, which ascend, side by side.
    mutating func keep(_ ranges: [Range<Int>]) {
        var end = 0
        for range in ranges {
            precondition(range.lowerBound >= end && range.upperBound <= count)
            if range.lowerBound != end {
                (base + end).update(from: base + range.lowerBound, count: range.count)
            }
            end += range.count
        }
        count = end
    }

    /// Forgets the entries; memory beyond `keeping` of them goes back.
    package mutating func removeAll(keeping: Int = 65_536) {
        count = 0
        guard capacity > keeping else { return }
        base.deallocate()
        capacity = keeping
        base = .allocate(capacity: capacity)
    }
}
