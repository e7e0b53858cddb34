package import TraceModel

/// What a scan has to know of the events of one resource.
struct EventKind {
    let resource: Resource
    /// The resource's raw value.
    let place: Int
    /// What stands before each event in a batch.
    let tag: UInt32
    let shape: MessageShape

    init(_ resource: Resource) {
        self.resource = resource
        place = Int(resource.rawValue)
        tag = resource.batchField << 3 | WireType.bytes
        shape = MessageShape.events[place]
    }
}

/// What a batch says about itself. The views point into the batch.
package struct BatchSummary {
    private var counts: InlineArray<6, UInt32> = .init(repeating: 0)
    /// Events of all resources.
    package private(set) var total = 0
    /// One run of one client; empty is the same as absent, as everywhere in proto3.
    package internal(set) var clientID = ByteView.empty
    /// From 1; 0 is the same as absent.
    package internal(set) var sequence: UInt64 = 0
    package internal(set) var isLastBatch = false
    /// The traced machine; empty where the peer's address stands in.
    package internal(set) var host = ByteView.empty
    /// What the events' fields mean; nil where the batch does not say.
    package internal(set) var semantics: Semantics?
    /// Where names of processes and threads stand, in the order of the batch. Empty, and without memory, in most.
    package internal(set) var names: [NameEntry] = []

    package var hasClientID: Bool { !clientID.isEmpty }
    package var hasSequence: Bool { sequence != 0 }

    /// Events of one resource.
    package func count(of resource: Resource) -> Int { Int(counts[Int(resource.rawValue)]) }

    /// Counts an event of the resource with this raw value.
    @inline(__always) mutating func add(_ place: Int) {
        counts[place] &+= 1
        total &+= 1
    }
}

/// Finds the events in a `TraceBatch` and proves that each will decode: every field of every event
/// is walked once, nothing is copied. What it accepts protobuf-c accepts too, with the same values.
///
/// Bounds: `Limits.messageBytesMax`, `batchEventsMax`, `stringFieldBytesMax`, `eventAnomaliesMax`,
/// `clientIDBytesMax`, `hostBytesMax`. Nesting is bounded by the proto itself: only known submessages
/// are entered, and those hold none. Invalid UTF-8 is accepted, and replaced where it is written.
package enum BatchScanner {
    /// Fills `index` with the events of `batch`, in place of what was in it. Does not block. O(bytes).
    package static func scan(
        _ batch: UnsafeRawBufferPointer, into index: inout EventIndex
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
            guard let (payload, tagCursor) = unsafe try nextEvent(&reader, &kind, &summary, start) else { break }
            guard summary.total < eventsMax else {
                throw WireError(.limit, "batch: too many events, limit \(eventsMax)")
            }
            let processID =
                if let usual = unsafe UsualWalk.processID(
                    of: payload, shape: kind.shape, readableUntil: start + byteCount)
                { usual } else { try walk(payload, of: kind, index: summary.count(of: kind.resource)) }
            summary.add(kind.place)
            index.append(
                EventEntry(
                    offset: unsafe UInt32(truncatingIfNeeded: tagCursor - start),
                    length: unsafe UInt32(truncatingIfNeeded: reader.cursor - tagCursor), processID: processID,
                    resource: kind.resource))
        }
        try checkNames(summary)
        return summary
    }

    /// Walks one event with care for what is wrong with it.
    @inline(never) private static func walk(
        _ payload: ByteView, of kind: EventKind, index: Int
    ) throws(WireError) -> UInt32 {
        var walk = EventWalk(kind.resource)
        do throws(WireProblem) { return try walk.processID(of: payload, shape: kind.shape) } catch {
            throw WireError(error, in: walk, index: index)
        }
    }

    /// How many events a refused batch holds, for its accounting; 0 where its own fields are damaged, as
    /// they can't be told from one another then. O(fields), looks into no event.
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

    /// The next event's payload and where its tag stands; `kind` becomes that of the event, the batch's own
    /// fields go into `summary`, unknown ones nowhere. Nil at the end of the batch.
    @inline(__always) private static func nextEvent(
        _ reader: inout FieldReader, _ kind: inout EventKind, _ summary: inout BatchSummary, _ start: UnsafeRawPointer
    ) throws(WireError) -> (ByteView, UnsafeRawPointer)? {
        var tag: UInt32 = 0
        do throws(WireProblem) {
            while true {
                let tagCursor = unsafe reader.cursor
                tag = 0
                tag = try reader.nextTag()
                if tag == 0 { return nil }
                // Events of one kind come in runs.
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
                            processID: name.processID))
                    continue
                }
                try readOwnField(tag, &reader, &summary)
            }
        } catch { throw WireError(error, atBatchField: tag >> 3, after: summary) }
    }

    @inline(never) private static func readOwnField(
        _ tag: UInt32, _ reader: inout FieldReader, _ summary: inout BatchSummary
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
            ("client_id", summary.clientID, Limits.clientIDBytesMax), ("host", summary.host, Limits.hostBytesMax),
        ] where view.count > limit { throw WireError(.stringTooLong, at: name, value: view.count, limit: limit) }
    }
}
