import TraceModel

/// The names in a batch that `BatchScanner` accepted, or in a worker's share of one, in the order of the batch. It
/// ends early at bytes that are no fields.
@safe
package struct NameFields: IteratorProtocol {
    private var reader: FieldReader
    private let start: UnsafeRawPointer

    package init(in batch: UnsafeRawBufferPointer) {
        reader = unsafe FieldReader(ByteView(batch))
        unsafe start = reader.cursor
    }

    package mutating func next() -> (entry: NameEntry, name: NameEvent)? {
        do throws(WireProblem) {
            while true {
                let begin = unsafe reader.cursor
                let tag = try reader.nextTag()
                if tag == NameEvent.tag {
                    let name = NameEvent(decoding: try reader.bytes())
                    let entry = NameEntry(
                        offset: unsafe UInt32(truncatingIfNeeded: begin - start),
                        length: unsafe UInt32(truncatingIfNeeded: reader.cursor - begin),
                        processID: name.processID
                    )
                    return (entry, name)
                }
                if tag == 0 { return nil }
                try reader.skip(tag)
            }
        } catch {
            return nil
        }
    }
}
