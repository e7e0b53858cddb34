package import TraceModel

/// Constants that a scan needs for the events of one resource.
struct EventKind {
    let resource: Resource
    /// The resource's raw value.
    let resourceIndex: Int
    /// The tag of the resource's events in a batch.
    let tag: UInt32
    let shape: MessageShape

    init(_ resource: Resource) {
        self.resource = resource
        resourceIndex = Int(resource.rawValue)
        tag = resource.batchField << 3 | WireType.bytes
        shape = MessageShape.events[resourceIndex]
    }
}

/// The fields of a batch other than its events. Views point into the batch.
package struct BatchSummary {
    private var counts: InlineArray<6, UInt32> = .init(repeating: 0)
    /// Number of events of all resources.
    package private(set) var total = 0
    /// Identifies one run of one client; empty is the same as absent, as everywhere in proto3.
    package internal(set) var clientID = ByteView.empty
    /// Starts at 1; 0 is the same as absent.
    package internal(set) var sequence: UInt64 = 0
    package internal(set) var isLastBatch = false
    /// The traced machine; if empty, the peer's address is used.
    package internal(set) var host = ByteView.empty
    /// Meaning of the events' fields; nil if the batch does not say.
    package internal(set) var semantics: Semantics?
    /// Positions of process and thread names, in batch order. Empty, and without allocation, in most batches.
    package internal(set) var names: [NameEntry] = []

    package var hasClientID: Bool { !clientID.isEmpty }
    package var hasSequence: Bool { sequence != 0 }

    /// Returns the number of events of one resource.
    package func count(of resource: Resource) -> Int { Int(counts[Int(resource.rawValue)]) }

    /// Counts an event of the resource with this raw value.
    @inline(__always) mutating func add(_ resourceIndex: Int) {
        counts[resourceIndex] &+= 1
        total &+= 1
    }
}

/// Finds the events in a `TraceBatch` and validates that each will decode: it visits every field of every event once
/// and copies nothing. Every batch it accepts is accepted by protobuf-c too, with the same values.
///
/// Limits: `Limits.messageBytesMax`, `batchEventsMax`, `stringFieldBytesMax`, `eventAnomaliesMax`, `clientIDBytesMax`,
/// `hostBytesMax`. Nesting is limited by the proto: only known nested messages are entered, and those contain none.
/// Invalid UTF-8 is accepted, and replaced when it is written.
package enum BatchScanner {
    /// Replaces the contents of `index` by the events of `batch`. Does not block. O(bytes).
    package static func scan(
        _ batch: UnsafeRawBufferPointer,
        into index: inout EventIndex
    ) throws(WireError) -> BatchSummary {
        index.removeAll()
        var summary = BatchSummary()
        let byteCount = batch.count
        guard byteCount <= Limits.messageBytesMax else {
            throw WireError(.limit, "batch: \(byteCount) bytes, limit \(Limits.messageBytesMax)")
        }
        guard let start = batch.baseAddress else { return summary }
        let eventsMax = Limits.batchEventsMax
        var reader = unsafe FieldReader(ByteView(batch))
        var kind = EventKind(.function)
        while true {
            guard let (payload, tagCursor) = unsafe try nextEvent(&reader, &kind, &summary, start)
            else { break }
            guard summary.total < eventsMax else {
                throw WireError(.limit, "batch: too many events, limit \(eventsMax)")
            }
            let processID =
                if let usual = unsafe FastEventWalk.processID(
                    of: payload,
                    shape: kind.shape,
                    readableUntil: start + byteCount
                ) { usual } else {
                    try walk(payload, of: kind, index: summary.count(of: kind.resource))
                }
            summary.add(kind.resourceIndex)
            index.append(
                EventEntry(
                    offset: unsafe UInt32(truncatingIfNeeded: tagCursor - start),
                    length: unsafe UInt32(truncatingIfNeeded: reader.cursor - tagCursor),
                    processID: processID,
                    resource: kind.resource
                )
            )
        }
        try checkNames(summary)
        return summary
    }

    /// Walks one event to describe the error in it.
    @inline(never) private static func walk(
        _ payload: ByteView,
        of kind: EventKind,
        index: Int
    ) throws(WireError) -> UInt32 {
        var walk = EventWalk(kind.resource)
        do throws(WireProblem) { return try walk.processID(of: payload, shape: kind.shape) } catch {
            throw WireError(error, in: walk, index: index)
        }
    }

    /// Returns the number of events in a refused batch, for accounting. O(fields); events are not decoded. Returns
    /// 0 if the batch's own fields are damaged, so that its events cannot be found.
    package static func countEvents(_ batch: UnsafeRawBufferPointer) -> Int {
        guard let start = batch.baseAddress else { return 0 }
        var summary = BatchSummary()
        var reader = unsafe FieldReader(ByteView(batch))
        var kind = EventKind(.function)
        var count = 0
        do throws(WireError) {
            while unsafe try nextEvent(&reader, &kind, &summary, start) != nil { count += 1 }
            return count
        } catch { return 0 }
    }

    /// Returns the next event's payload and the position of its tag; nil at the end of the batch. Updates `kind` to the
    /// event's, stores the batch's own fields in `summary`, and skips unknown fields.
    @inline(__always) private static func nextEvent(
        _ reader: inout FieldReader,
        _ kind: inout EventKind,
        _ summary: inout BatchSummary,
        _ start: UnsafeRawPointer
    ) throws(WireError) -> (ByteView, UnsafeRawPointer)? {
        var tag: UInt32 = 0
        do throws(WireProblem) {
            while true {
                let tagCursor = unsafe reader.cursor
                tag = 0
                tag = try reader.nextTag()
                if tag == 0 { return nil }
                // Events of one kind usually follow one another.
                if tag == kind.tag { return unsafe (try reader.bytes(), tagCursor) }
                if let resource = Resource(batchField: tag >> 3) {
                    guard tag & 7 == WireType.bytes else { throw .wireTypeMismatch }
                    kind = EventKind(resource)
                    return unsafe (try reader.bytes(), tagCursor)
                }
                if tag == NameEvent.tag {
                    let name = try NameEvent(checking: try reader.bytes())
                    guard summary.names.count < Limits.batchNamesMax else { throw .tooManyNames }
                    summary.names.append(
                        NameEntry(
                            offset: unsafe UInt32(truncatingIfNeeded: tagCursor - start),
                            length: unsafe UInt32(truncatingIfNeeded: reader.cursor - tagCursor),
                            processID: name.processID
                        )
                    )
                    continue
                }
                try readOwnField(tag, &reader, &summary)
            }
        } catch { throw WireError(error, atBatchField: tag >> 3, after: summary) }
    }

    @inline(never) private static func readOwnField(
        _ tag: UInt32,
        _ reader: inout FieldReader,
        _ summary: inout BatchSummary
    ) throws(WireProblem) {
        switch tag {
        case 100 << 3 | WireType.bytes: summary.clientID = try reader.bytes()
        case 101 << 3 | WireType.varint: summary.sequence = try reader.varint()
        case 102 << 3 | WireType.varint: summary.isLastBatch = try reader.bool()
        case 103 << 3 | WireType.bytes: summary.host = try reader.bytes()
        case 104 << 3 | WireType.varint:
            let value = try reader.int32()
            summary.semantics = UInt8(exactly: value).flatMap { Semantics(rawValue: $0) }
            if value != 0, summary.semantics == nil { throw .valueUnknown }
        default:
            guard !(100...105).contains(tag >> 3) else { throw .wireTypeMismatch }
            try reader.skip(tag)
        }
    }

    private static func checkNames(_ summary: BatchSummary) throws(WireError) {
        for (name, view, limit) in [
            ("client_id", summary.clientID, Limits.clientIDBytesMax),
            ("host", summary.host, Limits.hostBytesMax),
        ] where view.count > limit {
            throw WireError(.stringTooLong, at: name, value: view.count, limit: limit)
        }
    }
}
