package import TraceModel
package import TraceWire

/// The position and slot of each event and name of a commit group: 12 bytes each in one raw array, which the group
/// keeps and reuses.
@safe
package struct RoutedEvents: ~Copyable {
    /// The position and slot of one event or name, or of a range of events.
    package struct Entry: BitwiseCopyable {
        /// Offset from the batch's first byte to the tag of the event's field.
        let offset: UInt32
        /// Bytes of tag, length and payload.
        let length: UInt32
        let resource: UInt8
        let slot: UInt8

        /// Creates the entry of a scanned event, in a batch whose host has this hash.
        package init(_ event: EventEntry, hostHash: UInt64) {
            offset = event.offset
            length = event.length
            resource = event.resource.rawValue
            slot = Slot.of(hostHash: hostHash, processID: event.processID)
        }

        /// Creates the entry of a name of a process or thread, for one of the resources that show it.
        package init(_ name: NameEntry, resource: Resource, hostHash: UInt64) {
            offset = name.offset
            length = name.length
            self.resource = resource.rawValue
            slot = Slot.of(hostHash: hostHash, processID: name.processID)
        }

        /// Creates the entry of contiguous events of one slot.
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
    /// Bytes of memory used.
    var memoryBytes: Int { capacity * MemoryLayout<Entry>.stride }

    package init() { unsafe base = .allocate(capacity: capacity) }

    deinit { unsafe base.deallocate() }

    subscript(index: Int) -> Entry {
        precondition(index >= 0 && index < count)
        return unsafe base[index]
    }

    /// Appends an entry; grows the array if it is full.
    package mutating func append(_ entry: Entry) {
        if count == capacity {
            let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
            unsafe larger.moveInitialize(from: base, count: count)
            unsafe base.deallocate()
            unsafe base = unsafe larger
            capacity *= 2
        }
        unsafe (base + count).initialize(to: entry)
        count += 1
    }

    mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }

    /// Keeps only the entries in these ranges, which must ascend, and makes them contiguous.
    mutating func keep(_ ranges: [Range<Int>]) {
        var end = 0
        for range in ranges {
            precondition(range.lowerBound >= end && range.upperBound <= count)
            if range.lowerBound != end {
                unsafe (base + end).update(from: base + range.lowerBound, count: range.count)
            }
            end += range.count
        }
        count = end
    }

    /// Removes the entries, and frees memory beyond that of `keeping` entries.
    package mutating func removeAll(keeping: Int = 65_536) {
        count = 0
        guard capacity > keeping else { return }
        unsafe base.deallocate()
        capacity = keeping
        unsafe base = .allocate(capacity: capacity)
    }
}
