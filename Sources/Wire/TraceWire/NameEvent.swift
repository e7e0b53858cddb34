package import TraceModel

/// `Name`: the name of a process or one of its threads. Not an event: it is not counted and produces no row.
package struct NameEvent {
    /// Number of the field `TraceBatch.names`.
    package static let batchField: UInt32 = 105
    static let tag = batchField << 3 | WireType.bytes

    package private(set) var processID: UInt32 = 0
    /// 0 for the name of the process.
    package private(set) var threadID: UInt32 = 0
    package private(set) var name = ByteView.empty
    /// Sort position of the process in viewers; 0 for unspecified.
    package private(set) var sortIndex: Int32 = 0

    /// Decodes a payload that `BatchScanner` accepted; ignores malformed bytes.
    package init(decoding payload: ByteView) {
        do throws(WireProblem) { try read(payload) } catch { return }
    }

    /// - Throws: `WireProblem` if the bytes are not such a message.
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

/// Position of a name in its batch and its process id.
package struct NameEntry: Sendable {
    /// Offset of the field's tag from the batch's first byte.
    package let offset: UInt32
    /// Length of tag, length and payload.
    package let length: UInt32
    package let processID: UInt32
}

/// Iterates over the names in a batch that `BatchScanner` accepted, or in a worker's share of one, in batch order.
/// Stops at malformed bytes.
@safe package struct NameFields: IteratorProtocol {
    private var reader: FieldReader
    private let start: UnsafeRawPointer

    package init(in batch: UnsafeRawBufferPointer) {
        reader = unsafe FieldReader(ByteView(batch))
        unsafe start = reader.cursor
    }

    /// Decodes the next name.
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
        } catch { return nil }
    }
}
