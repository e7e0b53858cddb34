package import TraceModel

/// The events of one resource, as `EventFields` finds them.
///
///     var payloads = EventPayloads(of: .function, in: share)
///     while let payload = payloads.next() {
///         let event = FunctionEvent(decoding: payload, readableUntil: payloads.limit)
///     }
@safe
package struct EventPayloads: IteratorProtocol {
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
