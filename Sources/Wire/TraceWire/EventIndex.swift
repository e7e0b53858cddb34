package import TraceModel

/// Position of an event in its batch and its process id. 16 bytes.
package struct EventEntry: Sendable {
    /// Offset of the field's tag from the batch's first byte.
    package let offset: UInt32
    /// Length of tag, length and payload: these bytes alone are a valid `TraceBatch`.
    package let length: UInt32
    package let processID: UInt32
    package let resource: Resource

    @inlinable package init(offset: UInt32, length: UInt32, processID: UInt32, resource: Resource) {
        self.offset = offset
        self.length = length
        self.processID = processID
        self.resource = resource
    }
}

/// The events of one batch in batch order; reused for the next batch. Owns its memory, 16 bytes an event.
@safe package struct EventIndex: ~Copyable {
    @usableFromInline package private(set) var base: UnsafeMutablePointer<EventEntry>
    package private(set) var count = 0
    private var capacity: Int

    private static let capacityMin = 512

    package init() {
        capacity = Self.capacityMin
        unsafe base = .allocate(capacity: capacity)
    }

    deinit { unsafe base.deallocate() }

    @inlinable package subscript(position: Int) -> EventEntry {
        precondition(position >= 0 && position < count)
        return unsafe base[position]
    }

    /// Removes all events, keeps the memory.
    package mutating func removeAll() { count = 0 }

    @inline(__always) mutating func append(_ entry: EventEntry) {
        if count == capacity { grow() }
        unsafe base[count] = entry
        count &+= 1
    }

    /// Empties the index and releases memory that only a very large batch needed.
    package mutating func shrink(keeping events: Int = 65_536) {
        count = 0
        guard capacity > max(events, Self.capacityMin) else { return }
        unsafe base.deallocate()
        capacity = max(events, Self.capacityMin)
        unsafe base = .allocate(capacity: capacity)
    }

    @inline(never) private mutating func grow() {
        let larger = UnsafeMutablePointer<EventEntry>.allocate(capacity: capacity * 2)
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = larger
        capacity *= 2
    }
}

/// Iterates over the payloads of one resource's events in a batch.
///
///     var payloads = EventPayloads(of: .function, in: share)
///     while let payload = payloads.next() {
///         let event = FunctionEvent(decoding: payload, readableUntil: payloads.limit)
///     }
@safe package struct EventPayloads: IteratorProtocol {
    private var fields: EventFields
    /// End of the batch, up to which memory is readable.
    package let limit: UnsafeRawPointer?

    package init(of resource: Resource, in batch: UnsafeRawBufferPointer) {
        fields = unsafe EventFields(of: resource, in: batch)
        unsafe limit = batch.baseAddress.map { unsafe $0 + batch.count }
    }

    /// Whether names of processes or threads were skipped so far.
    package var hasNames: Bool { fields.hasNames }

    /// Returns the next event's payload in batch order.
    package mutating func next() -> ByteView? { fields.next()?.payload }
}
