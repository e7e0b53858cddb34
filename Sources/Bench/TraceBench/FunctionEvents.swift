import TraceWire

/// Calls as an agent sees them: bursts of one thread, nested up to five deep, every entry with its exit.
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

    /// Appends `count` events; an odd one out at the end is a call without a body.
    mutating func append(_ count: Int, to encoder: inout BatchEncoder) {
        var left = count
        while left > 0 {
            var event = BatchEncoder.Function()
            event.timestamp = StampClock.placeholder
            event.tgid = UInt32(Self.firstProcess + random.below(processes))
            event.pid = event.tgid
            let depth = min(1 + random.below(Self.depthMax), left / 2)
            guard depth > 0 else {
                // An exit without its entry, as where an agent was attached late.
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
