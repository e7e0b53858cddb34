package import TraceModel

/// An event decoded in place: trivial in memory, with strings as views into its batch.
package protocol WireEvent {
    static var resource: Resource { get }

    /// Unparsed; if empty, the arrival time is used.
    var timestamp: ByteView { get }
    /// Process id, or the thread id if the agent sets no process id.
    var processID: UInt32 { get }
    var threadID: UInt32 { get }

    /// Decodes a payload that `BatchScanner` accepted; for any other, the fields before the damage. `limit` is the end
    /// of readable memory, usually beyond the payload's end; nil if unknown.
    init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?)
}

extension WireEvent {
    package init(decoding payload: ByteView) {
        unsafe self.init(decoding: payload, readableUntil: nil)
    }
}

/// Iterates over the positions of one resource's events in a batch. The batch is one that `BatchScanner` accepted,
/// or a worker's share of one. Skips all other fields by their length. Stops at malformed bytes, see `isDamaged`.
@safe package struct EventFields: IteratorProtocol {
    /// The position of one event.
    package struct Field {
        /// Range of the tag, length and payload, relative to the batch's first byte.
        package let range: Range<Int>
        package let payload: ByteView
    }

    private var reader: FieldReader
    private let start: UnsafeRawPointer
    private let resource: Resource
    private let tag: UInt32
    /// Whether it stopped at malformed bytes, behind which more events may follow.
    package private(set) var isDamaged = false
    /// Whether it has skipped names of processes or threads.
    package private(set) var hasNames = false

    package init(of resource: Resource, in batch: UnsafeRawBufferPointer) {
        reader = unsafe FieldReader(ByteView(batch))
        unsafe start = reader.cursor
        self.resource = resource
        tag = resource.batchField << 3 | WireType.bytes
    }

    /// Returns the next event in batch order.
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

    /// Returns the range of the next events that are contiguous.
    package mutating func nextRange() -> Range<Int>? {
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

    /// Returns the next event and its process id, which requires visiting all its fields.
    package mutating func nextWithProcess() -> (range: Range<Int>, processID: UInt32)? {
        guard let event = next() else { return nil }
        var walk = EventWalk(resource)
        let shape = MessageShape.events[Int(resource.rawValue)]
        do throws(WireProblem) {
            return (event.range, try walk.processID(of: event.payload, shape: shape))
        } catch {
            isDamaged = true
            return nil
        }
    }
}
