import TraceModel
import TraceTime
import TraceWire

/// A batch's events decoded side by side, with their times, and the order of those times. Memory is kept
/// from batch to batch.
struct EventBuffer<Event: WireEvent>: ~Copyable {
    private var events: UnsafeMutablePointer<Event>
    private var times: UnsafeMutablePointer<EpochNanoseconds>
    private var invalid: UnsafeMutablePointer<Bool>
    private var order: [Int32] = []
    private var capacity = 512
    private(set) var count = 0
    private var isSorted = true

    init() {
        events = .allocate(capacity: capacity)
        times = .allocate(capacity: capacity)
        invalid = .allocate(capacity: capacity)
    }

    deinit {
        events.deallocate()
        times.deallocate()
        invalid.deallocate()
    }

    /// Decodes all events of the resource in a share. O(n), O(n log n) where their times are not in order.
    mutating func decode(
        _ share: UnsafeRawBufferPointer,
        arrival: EpochNanoseconds,
        parser: inout TimestampParser
    ) {
        count = 0
        isSorted = true
        var payloads = EventPayloads(of: Event.resource, in: share)
        var last = EpochNanoseconds.min
        while let payload = payloads.next() {
            if count == capacity { grow() }
            let event = Event(decoding: payload)
            let time = parser.parse(event.timestamp, arrival: arrival)
            (events + count).initialize(to: event)
            times[count] = time.nanoseconds
            invalid[count] = time.kind == .invalid
            if time.nanoseconds < last { isSorted = false }
            last = time.nanoseconds
            count += 1
        }
        guard !isSorted else { return }
        order.removeAll(keepingCapacity: true)
        order.append(contentsOf: (0..<Int32(count)))
        let times = times
        // Equal times keep the order in which they were sent.
        order.sort { left, right in
            let (a, b) = (times[Int(left)], times[Int(right)])
            return a < b || (a == b && left < right)
        }
    }

    /// The event at this place of the order of times.
    @inline(__always)
    func position(_ rank: Int) -> Int { isSorted ? rank : Int(order[rank]) }

    @inline(__always)
    func event(_ position: Int) -> UnsafePointer<Event> { UnsafePointer(events + position) }

    @inline(__always)
    func time(_ position: Int) -> EpochNanoseconds { times[position] }

    @inline(__always)
    func isInvalid(_ position: Int) -> Bool { invalid[position] }

    private mutating func grow() {
        func moved<Element>(
            _ old: UnsafeMutablePointer<Element>
        ) -> UnsafeMutablePointer<Element> {
            let new = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
            new.moveInitialize(from: old, count: count)
            old.deallocate()
            return new
        }
        events = moved(events)
        times = moved(times)
        invalid = moved(invalid)
        capacity *= 2
    }

    /// Gives back memory that only a very large batch needed.
    mutating func shrink(keeping: Int = 65_536) {
        count = 0
        guard capacity > keeping else { return }
        events.deallocate()
        times.deallocate()
        invalid.deallocate()
        order = []
        capacity = keeping
        events = .allocate(capacity: capacity)
        times = .allocate(capacity: capacity)
        invalid = .allocate(capacity: capacity)
    }
}
