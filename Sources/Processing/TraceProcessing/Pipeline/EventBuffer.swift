import SystemIO
import TraceFiles
import TraceModel
import TraceTime
import TraceWire

/// A batch's decoded events, and their order in the output: by time and process. Memory is kept from batch to batch.
struct EventBuffer<Event: ProcessEvent>: ~Copyable {
    /// The sort key of an event.
    struct Rank: BitwiseCopyable {
        let time: EpochNanoseconds
        let pid: UInt32
        /// The position in the batch, or its complement if the event's timestamp was invalid.
        private let mark: Int32

        @inline(__always) fileprivate init(_ time: ParsedTimestamp, pid: UInt32, position: Int32) {
            self.time = time.nanoseconds
            self.pid = pid
            if case .invalid = time.kind { mark = ~position } else { mark = position }
        }

        @inline(__always) var isTimeInvalid: Bool { mark < 0 }

        @inline(__always) fileprivate var position: Int { Int(mark < 0 ? ~mark : mark) }

        @inline(__always) fileprivate func precedes(_ other: Rank) -> Bool {
            time != other.time ? time < other.time : pid < other.pid
        }
    }

    private var events: UnsafeMutablePointer<Event>
    private var capacity = 512
    private var ranks = RawArray<Rank>(capacity: 512)
    private var sorter = NaturalMergeSort<Rank>()

    init() { events = .allocate(capacity: capacity) }

    deinit { events.deallocate() }

    var count: Int { ranks.count }

    /// Decodes all events of the resource in a share and sorts them. Returns whether the share also has names of
    /// processes. Events of one process with equal times keep the order in which they were sent. O(n) if they were
    /// sent in order, else O(n log n).
    @inline(__always) mutating func decode(
        _ share: UnsafeRawBufferPointer,
        arrival: EpochNanoseconds,
        parser: inout TimestampParser
    ) -> Bool {
        ranks.removeAll()
        var payloads = EventPayloads(of: Event.resource, in: share)
        while let payload = payloads.next() {
            let position = ranks.count
            if position == capacity { grow() }
            let event = events + position
            event.initialize(to: Event(decoding: payload, readableUntil: payloads.limit))
            ranks.append(
                Rank(
                    parser.parse(event.pointee.timestamp, arrival: arrival),
                    pid: event.pointee.processID,
                    position: Int32(position)
                )
            )
        }
        sorter.sort(ranks.elements) { $0.precedes($1) }
        return payloads.hasNames
    }

    @inline(__always) subscript(place: Int) -> Rank { ranks[place] }

    @inline(__always) func event(_ rank: Rank) -> UnsafePointer<Event> {
        UnsafePointer(events + rank.position)
    }

    @inline(never) private mutating func grow() {
        let larger = UnsafeMutablePointer<Event>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: events, count: count)
        events.deallocate()
        events = larger
        capacity *= 2
    }

    /// Gives back memory that only a very large batch needed.
    mutating func shrink(keeping: Int = 65_536) {
        ranks.removeAll()
        guard capacity > keeping else { return }
        ranks.shrink(keeping: keeping)
        sorter.shrink(keeping: keeping)
        events.deallocate()
        capacity = keeping
        events = .allocate(capacity: capacity)
    }
}
