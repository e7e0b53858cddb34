package import TraceModel

/// Walks the events of one resource in a batch that `BatchScanner` accepted, or in a worker's share of
/// one; passes over all else. It ends early at bytes that are no fields.
///
///     var payloads = EventPayloads(of: .function, in: share)
///     while let payload = payloads.next() {
///         let event = FunctionEvent(decoding: payload)
///     }
package struct EventPayloads: IteratorProtocol {
    private var reader: FieldReader
    private let tag: UInt32

    package init(of resource: Resource, in batch: UnsafeRawBufferPointer) {
        reader = unsafe FieldReader(ByteView(batch))
        tag = resource.batchField << 3 | WireType.bytes
    }

    /// The next event's payload, in the order of the batch.
    package mutating func next() -> ByteView? {
        do throws(WireProblem) {
            while true {
                let found = try reader.nextTag()
                if found == tag { return try reader.bytes() }
                if found == 0 { return nil }
                try reader.skip(found)
            }
        } catch {
            return nil
        }
    }
}
