package import TraceModel

/// Where one event stands in its batch, and whose it is. 16 bytes.
package struct EventEntry: Sendable {
    /// Of the field's tag, from the batch's first byte.
    package let offset: UInt32
    /// Tag, length and payload together: these bytes alone are a valid `TraceBatch`.
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

/// The events of one batch in the order they stand there; kept and filled again for the next batch.
/// Owns its memory: 16 bytes an event.
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

    package mutating func removeAll() { count = 0 }

    @inline(__always) mutating func append(_ entry: EventEntry) {
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

    @inline(never) private mutating func grow() {
        let larger = UnsafeMutablePointer<EventEntry>.allocate(capacity: capacity * 2)
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = larger
        capacity *= 2
    }
}

/// The events of one resource, as `EventFields` finds them.
///
///     var payloads = EventPayloads(of: .function, in: share)
///     while let payload = payloads.next() {
///         let event = FunctionEvent(decoding: payload, readableUntil: payloads.limit)
///     }
@safe package struct EventPayloads: IteratorProtocol {
    private var fields: EventFields
    /// The batch's end: up to there bytes can be read.
    package let limit: UnsafeRawPointer?

    package init(of resource: Resource, in batch: UnsafeRawBufferPointer) {
        fields = unsafe EventFields(of: resource, in: batch)
        unsafe limit = batch.baseAddress.map { unsafe $0 + batch.count }
    }

    /// Whether names of processes or threads stand beside the events met so far.
    package var hasNames: Bool { fields.hasNames }

    /// The next event's payload, in the order of the batch.
    package mutating func next() -> ByteView? { fields.next()?.payload }
}
