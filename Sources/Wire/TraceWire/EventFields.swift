package import TraceModel

/// An event decoded in place: trivial in memory, its strings are views into the batch it came in.
package protocol WireEvent {
    static var resource: Resource { get }

    /// As sent, empty where the time of arrival stands in.
    var timestamp: ByteView { get }
    /// The process: the thread's id where the agent sets no process id.
    var processID: UInt32 { get }
    var threadID: UInt32 { get }

    /// Decodes what `BatchScanner` accepted; from anything else it takes what stands before the damage. `limit`: up
    /// to where bytes can be read, beyond the payload's end as a rule; nil where that is unknown.
    init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?)
}

extension WireEvent {
    package init(decoding payload: ByteView) { unsafe self.init(decoding: payload, readableUntil: nil) }
}

/// Where the events of one resource stand in a batch that `BatchScanner` accepted, or in a worker's share of one;
/// passes over all else without a look into it. It ends early, and says so, at bytes that are no fields.
@safe package struct EventFields: IteratorProtocol {
    package struct Field {
        /// Of the tag and of what follows the event, from the batch's first byte.
        package let range: Range<Int>
        package let payload: ByteView
    }

    private var reader: FieldReader
    private let start: UnsafeRawPointer
    private let resource: Resource
    private let tag: UInt32
    /// Whether it ended at bytes that the scanner does not accept: events may stand behind them.
    package private(set) var isDamaged = false
    /// Whether it has passed over names of processes or threads.
    package private(set) var hasNames = false

    package init(of resource: Resource, in batch: UnsafeRawBufferPointer) {
        reader = unsafe FieldReader(ByteView(batch))
        unsafe start = reader.cursor
        self.resource = resource
        tag = resource.batchField << 3 | WireType.bytes
    }

    /// The next event, in the order of the batch.
    @inline(__always) package mutating func next() -> Field? {
        do throws(WireProblem) {
            while true {
                let begin = unsafe reader.cursor
                let found = try reader.nextTag()
                if found == tag {
                    let payload = try reader.bytes()
                    let range = unsafe (begin - start)..<(reader.cursor - start)
                    return Field(range: range, payload: payload)
                }
                if found == 0 { return nil }
                if found == NameEvent.tag { hasNames = true }
                try reader.skip(found)
            }
        } catch {
            isDamaged = true
            return nil
        }
    }

    /// The next events that lie one behind the other, with nothing between them.
    package mutating func nextStretch() -> Range<Int>? {
        guard let first = next() else { return nil }
        var end = first.range.upperBound
        while true {
            let before = reader
            guard let event = next() else { break }
            guard event.range.lowerBound == end else {
                reader = before
                break
            }
            end = event.range.upperBound
        }
        return first.range.lowerBound..<end
    }

    /// The next event and whose it is, which takes a walk over all its fields.
    package mutating func nextWithProcess() -> (range: Range<Int>, processID: UInt32)? {
        guard let event = next() else { return nil }
        var walk = EventWalk(resource)
        let shape = MessageShape.events[Int(resource.rawValue)]
        do throws(WireProblem) { return (event.range, try walk.processID(of: event.payload, shape: shape)) } catch {
            isDamaged = true
            return nil
        }
    }
}
