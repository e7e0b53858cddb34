import TraceWire

/// Generates calls as an agent sees them: bursts of one thread, nested up to five deep, each entry with its exit.
struct FunctionEvents {
    private static let firstProcess = 1_000
    private static let depthMax = 5

    private let processes: Int
    private let names: [String]
    private var random = BenchRandom(seed: 1)
    private var cookie: Int64 = 0
    private var callCount: UInt64 = 0

    init(processes: Int, functions: Int) {
        self.processes = processes
        names = (0..<functions).map { "service::handler_\($0)::process" }
    }

    /// Appends `count` events. An odd last one is an exit without its entry.
    mutating func append(_ count: Int, to encoder: inout BatchEncoder) {
        var left = count
        while left > 0 {
            var event = BatchEncoder.Function()
            event.timestamp = StampClock.placeholder
            event.tgid = UInt32(Self.firstProcess + random.below(processes))
            event.pid = event.tgid
            let depth = min(1 + random.below(Self.depthMax), left / 2)
            guard depth > 0 else {
                // An exit without its entry, as if the agent had been attached late.
                event.eventType = 1
                event.functionName = names[0]
                encoder.append(event)
                return
            }
            append(depth: depth, of: event, to: &encoder)
            left -= 2 * depth
        }
    }

    private mutating func append(
        depth: Int,
        of template: BatchEncoder.Function,
        to encoder: inout BatchEncoder
    ) {
        var calls: [BatchEncoder.Function] = []
        for _ in 0..<depth {
            var call = template
            cookie += 1
            callCount += 1
            call.cookie = cookie
            call.callCount = callCount
            call.functionName = names[random.below(names.count)]
            encoder.append(call)
            calls.append(call)
        }
        for var call in calls.reversed() {
            call.eventType = 1
            call.averageDurationMicroseconds = UInt64(50 + random.below(900))
            encoder.append(call)
        }
    }
}

/// The cumulative counters of traced processes, which grow from event to event. In a template each value is replaced by
/// a mark. The templates are sent repeatedly, with counters that grow by the same amount in each pass.
struct GrowingCounters {
    /// The place of a value in a template, with its value in the first pass.
    struct Mark {
        let key: Int
        let base: UInt64
        let width: Int
    }

    /// The width of a value on the wire. It stays the same for more passes than any run makes.
    enum Width: Int {
        /// For uint32: 2^28 up to 2^32.
        case five = 5
        /// 2^35 up to 2^42.
        case six = 6

        var start: UInt64 { 1 << UInt64(7 * (rawValue - 1)) }
    }

    /// The amount that a pass adds, by key.
    private(set) var growth: [UInt64]
    private var marks: [Mark] = []

    init(count: Int) { growth = Array(repeating: 0, count: count) }

    /// Adds to a counter and returns the mark for its value, which differs from all other values of the batch.
    mutating func grow(_ key: Int, by amount: UInt64, _ width: Width) -> UInt64 {
        growth[key] += amount
        marks.append(Mark(key: key, base: width.start + growth[key], width: width.rawValue))
        return Self.mark(marks.count - 1, width)
    }

    /// Returns the marks since the last call, in order.
    mutating func takeMarks() -> [Mark] {
        defer { marks.removeAll() }
        return marks
    }

    /// Returns the number that stands for the mark at `index` of its batch.
    static func mark(_ index: Int, _ width: Width) -> UInt64 { width.start * 8 + UInt64(index) }

    /// Writes a varint of exactly `width` bytes.
    @inline(__always) static func write(
        _ value: UInt64,
        width: Int,
        to target: UnsafeMutableRawPointer
    ) {
        for index in 0..<(width - 1) {
            unsafe target.storeBytes(
                of: UInt8(truncatingIfNeeded: value >> UInt64(7 * index)) | 0x80,
                toByteOffset: index,
                as: UInt8.self
            )
        }
        unsafe target.storeBytes(
            of: UInt8(truncatingIfNeeded: value >> UInt64(7 * (width - 1))) & 0x7F,
            toByteOffset: width - 1,
            as: UInt8.self
        )
    }
}
