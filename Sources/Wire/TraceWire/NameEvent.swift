package import TraceModel

/// `Name`: what a process or one of its threads is called. No event: it is not counted and leaves no row.
package struct NameEvent {
    /// The number of the field `TraceBatch.names`.
    package static let batchField: UInt32 = 105
    static let tag = batchField << 3 | WireType.bytes

    package private(set) var processID: UInt32 = 0
    /// 0 where the name is the process's.
    package private(set) var threadID: UInt32 = 0
    package private(set) var name = ByteView.empty
    /// Where viewers put the process; 0 for nowhere in particular.
    package private(set) var sortIndex: Int32 = 0

    /// Decodes what `BatchScanner` has accepted; what is no field is passed over.
    package init(decoding payload: ByteView) { do throws(WireProblem) { try read(payload) } catch { return } }

    /// - Throws: `WireProblem` where the bytes are no such message.
    init(checking payload: ByteView) throws(WireProblem) { try read(payload) }

    private mutating func read(_ payload: ByteView) throws(WireProblem) {
        var reader = FieldReader(payload)
        while true {
            let tag = try reader.nextTag()
            switch tag {
            case 0: return
            case 1 << 3 | WireType.varint: processID = try reader.uint32()
            case 2 << 3 | WireType.varint: threadID = try reader.uint32()
            case 3 << 3 | WireType.bytes: name = try reader.bytes()
            case 4 << 3 | WireType.varint: sortIndex = try reader.int32()
            default:
                guard !(1...4).contains(tag >> 3) else { throw .wireTypeMismatch }
                try reader.skip(tag)
            }
        }
    }
}

/// Where one name stands in its batch, and whose it is.
package struct NameEntry: Sendable {
    /// Of the field's tag, from the batch's first byte.
    package let offset: UInt32
    /// Tag, length and payload together.
    package let length: UInt32
    package let processID: UInt32
}

/// The names in a batch that `BatchScanner` accepted, or in a worker's share of one, in the order of the batch. It
/// ends early at bytes that are no fields.
@safe package struct NameFields: IteratorProtocol {
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
                        length: unsafe UInt32(truncatingIfNeeded: reader.cursor - begin), processID: name.processID)
                    return (entry, name)
                }
                if tag == 0 { return nil }
                try reader.skip(tag)
            }
        } catch { return nil }
    }
}
