import TraceModel
import TraceWire

/// Makes events of any resource: the same for the same seed. Cumulative counters rise and now and then
/// fall, processes change their names, calls nest and miss their exits.
struct EventGenerator: ~Copyable {
    enum Style {
        /// What agents send.
        case ordinary
        /// What the wire lets through.
        case absurd
        /// The same with names of 1 MB.
        case huge
    }

    static let start: EpochNanoseconds = 1_760_000_000_000_000_000
    static let hosts = ["127.0.0.1", "gpu,\"box\" 1", "beta"]

    private let resource: Resource
    private let style: Style
    private let processes: UInt64
    private var random: EventRandom
    private var encoder = BatchEncoder()
    private var clock = EventGenerator.start
    private var counters: [UInt32: UInt64] = [:]
    private var lsn: LSN = 0
    private var serial: Int64 = 0

    init(_ resource: Resource, seed: UInt64, style: Style = .ordinary, processes: UInt64 = 4) {
        self.resource = resource
        self.processes = processes
        self.style = style
        random = EventRandom(seed: seed)
    }

    /// Batches of up to `eventsMax` events, late by up to `disorderMilliseconds`, no two at one time.
    mutating func batches(
        _ count: Int,
        eventsMax: UInt64 = 40,
        disorderMilliseconds: UInt64 = 8
    ) -> [ContractBatch] {
        (0..<count).map { _ in
            let host = random.pick(Self.hosts)
            lsn += 100
            let events = (0..<(1 + random.below(eventsMax))).map { _ in
                // Milliseconds may meet; the microseconds are the event's own number.
                clock += 1_000_000
                serial += 1
                let late = Int64(random.below(disorderMilliseconds + 1)) * 1_000_000
                return event(host: host, time: clock - late + serial % 1_000 * 1_000)
            }
            return ContractBatch(host: host, events: events, arrival: clock + 5_000_000, lsn: lsn)
        }
    }

    /// One event at this time; `timestamp` in its place where given.
    mutating func event(
        host: String = EventGenerator.hosts[0],
        pid: UInt32? = nil,
        time: EpochNanoseconds,
        timestamp: String? = nil
    ) -> ContractEvent {
        let pid = pid ?? UInt32(1 + random.below(processes))
        encoder.removeAll()
        append(pid: pid, timestamp: timestamp ?? ContractEvent.timestamp(time))
        let bytes = Self.spoiled(Array(encoder.bytes))
        return ContractEvent(host: host, pid: pid, time: time, bytes: bytes)
    }

    /// What UTF-8 does not hold can't stand in a String: `<~>` is for it.
    static func spoiled(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for index in bytes.indices.dropLast(2) where bytes[index] == 0x3C {
            guard bytes[index + 1] == 0x7E, bytes[index + 2] == 0x3E else { continue }
            (bytes[index], bytes[index + 1], bytes[index + 2]) = (0xFF, 0xC3, 0xED)
        }
        return bytes
    }

    // MARK: Values

    private mutating func number() -> UInt64 {
        switch style {
        case .ordinary: random.below(1 << 20)
        case .absurd, .huge: random.pick([0, 1, .max, .max - 1, 1 << 63, random.next()])
        }
    }

    private mutating func small(_ bound: UInt64) -> UInt32 {
        style == .ordinary ? UInt32(random.below(bound)) : random.pick([0, 1, .max])
    }

    private mutating func real() -> Double {
        switch style {
        case .ordinary: Double(random.below(300_000)) / 1_000
        case .absurd, .huge:
            random.pick([
                .nan, .infinity, -.infinity, -0.0, -1, .greatestFiniteMagnitude,
                .leastNonzeroMagnitude, 1e300, 0.1,
            ])
        }
    }

    private mutating func name(_ ordinary: [String]) -> String {
        if style == .ordinary { return random.pick(ordinary) }
        if style == .huge {
            let letters = random.pick(["x", "\"", "\n", "\u{1}", "ü", "a\n"])
            return String(
                repeating: letters,
                count: Limits.stringFieldBytesMax / letters.utf8.count
            )
        }
        return random.pick([
            "", "\u{0}\u{1}\u{1F}", "a\"b\\c\nd\re,f\tg", "\u{7F}\u{2028}💥", "<~>", "é\u{0301}<~>",
            String(repeating: "ü<~>\"", count: 1_000), String(repeating: "<~>", count: 100),
            "other",
            "cudaLaunchKernel", "\n\n \n",
        ])
    }

    /// A counter of the process that only rises, but for a restart now and then.
    private mutating func cumulative(_ pid: UInt32) -> UInt64 {
        guard style == .ordinary else { return number() }
        let value = random.isOne(in: 60) ? 0 : counters[pid, default: 0] + random.below(5_000)
        counters[pid] = value
        return value
    }

    private mutating func comm(_ pid: UInt32) -> String {
        random.isOne(in: 25) ? name(["", "renamed", "ü, \"q\""]) : name(["proc-\(pid)"])
    }

    private mutating func anomalies() -> [BatchEncoder.Anomaly] {
        guard random.isOne(in: 10) else { return [] }
        return [BatchEncoder.Anomaly(description: name(["leak, \"x\""]), severity: real())]
    }

    // MARK: Events

    private mutating func append(pid: UInt32, timestamp: String) {
        switch resource {
        case .function: appendFunction(pid, timestamp)
        case .cpu: appendCPU(pid, timestamp)
        case .memory: appendMemory(pid, timestamp)
        case .network: appendNetwork(pid, timestamp)
        case .io: appendIO(pid, timestamp)
        case .gpu: appendGPU(pid, timestamp)
        }
    }

    private mutating func appendFunction(_ pid: UInt32, _ timestamp: String) {
        var event = BatchEncoder.Function()
        event.timestamp = timestamp
        event.eventType = style == .ordinary ? Int32(random.below(2)) : random.pick([-1, 0, 1, 7])
        event.cookie = Int64(random.below(3)) - 1
        event.functionName = name(["main", "run<int, \"x\">", "f"])
        event.tgid = pid
        event.pid = pid + UInt32(random.below(2))
        event.callCount = number()
        event.averageDurationMicroseconds = number()
        encoder.append(event)
    }

    private mutating func appendCPU(_ pid: UInt32, _ timestamp: String) {
        var event = BatchEncoder.CPU()
        event.timestamp = timestamp
        event.pid = pid
        event.ppid = small(100)
        event.comm = comm(pid)
        event.cpuID = small(8)
        event.onCPUMicroseconds = cumulative(pid)
        event.offCPUMicroseconds = cumulative(pid)
        event.utilizationPercent = real()
        event.migrations = UInt32(truncatingIfNeeded: cumulative(pid))
        event.numaMigrations = small(9)
        event.hotspotCPU = small(8)
        event.hotspotPercent = real()
        encoder.append(event)
    }

    private mutating func appendMemory(_ pid: UInt32, _ timestamp: String) {
        var event = BatchEncoder.Memory()
        event.timestamp = timestamp
        event.tgid = pid
        event.pid = pid + UInt32(random.below(2))
        event.comm = comm(pid)
        event.operation = name(["alloc", "free"])
        event.size = number()
        event.address = style == .ordinary ? random.below(50) : number()
        event.stackID = number()
        event.totalAllocs = cumulative(pid)
        event.totalFrees = cumulative(pid)
        event.currentMemory = number()
        event.peakMemory = number()
        event.pattern = Int32(bitPattern: small(5))
        event.largeAllocs = small(5)
        event.fragmentationScore = small(100)
        event.leakSuspected = random.isOne(in: 2)
        event.churnScore = small(100)
        event.anomalies = anomalies()
        encoder.append(event)
    }

    private mutating func appendNetwork(_ pid: UInt32, _ timestamp: String) {
        var event = BatchEncoder.Network()
        event.timestamp = timestamp
        event.tgid = pid
        event.pid = pid + UInt32(random.below(2))
        event.comm = comm(pid)
        event.isSend = random.isOne(in: 2)
        event.bytes = number()
        event.sourceAddress = name(["10.0.0.1", "fe80::1"])
        event.destinationAddress = name(["10.0.0.2", "fe80::2"])
        event.sourcePort = small(4)
        event.destinationPort = small(3)
        event.transport = name(["TCP", "UDP"])
        event.txBytes = cumulative(pid)
        event.rxBytes = cumulative(pid)
        event.txPackets = cumulative(pid)
        event.rxPackets = cumulative(pid)
        event.pattern = Int32(bitPattern: small(5))
        event.retransmits = small(3)
        event.errors = small(3)
        event.isBursty = random.isOne(in: 2)
        event.activeConnections = small(30)
        event.anomalies = anomalies()
        encoder.append(event)
    }

    private mutating func appendIO(_ pid: UInt32, _ timestamp: String) {
        var event = BatchEncoder.IO()
        event.timestamp = timestamp
        event.pid = pid
        event.comm = comm(pid)
        event.operation = name(["READ", "write", "SYNC"])
        event.bytes = number()
        event.latencyMilliseconds = real()
        event.device = name(["sda", "nvme0n1"])
        event.major = small(300)
        event.minor = small(300)
        event.readBytes = cumulative(pid)
        event.writeBytes = cumulative(pid)
        event.readOperations = cumulative(pid)
        event.writeOperations = cumulative(pid)
        event.averageReadLatencyMilliseconds = real()
        event.averageWriteLatencyMilliseconds = real()
        encoder.append(event)
    }

    private mutating func appendGPU(_ pid: UInt32, _ timestamp: String) {
        var event = BatchEncoder.GPU()
        event.timestamp = timestamp
        switch random.below(4) {
        case 0:
            let frames = (0..<random.below(6)).map { "frame \($0)|x" } + [name(["main"])]
            event.payload = .callStack(pid: pid, frames: ["cudaLaunchKernel"] + frames)
        case 1: event.payload = .memory(pid: pid, bytes: number())
        case 2:
            let kernel = name(["add<float>", "mul"])
            event.payload = .launch(pid: pid, kernelName: kernel, calls: number())
        default:
            let kind = name(["D2H", "H2D"])
            event.payload = .transfer(pid: pid, bytesPerSecond: number(), kind: kind)
        }
        encoder.append(event)
    }
}
