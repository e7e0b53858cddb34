package import TraceModel

/// The events of one resource, as `EventFields` finds them.
///
///     var payloads = EventPayloads(of: .function, in: share)
///     while let payload = payloads.next() {
///         let event = FunctionEvent(decoding: payload)
///     }
package struct EventPayloads: IteratorProtocol {
    private var fields: EventFields

    package init(of resource: Resource, in batch: UnsafeRawBufferPointer) {
        fields = unsafe EventFields(of: resource, in: batch)
    }

    /// The next event's payload, in the order of the batch.
    package mutating func next() -> ByteView? { fields.next()?.payload }
}
