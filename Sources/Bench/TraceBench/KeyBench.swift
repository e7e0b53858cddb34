import Glibc
import SystemIO
import TraceFiles
import TraceModel
package import TraceTime
import TraceWire

/// Measures a worker's loop with ever new keys: whether the cost of an event depends on the number of keys, and how
/// large state, checkpoints and files become.
package struct KeyBench {
    /// Kinds of keys of which there may be any number.
    package enum Kind: String, CaseIterable, Sendable {
        case functions
        case longNames = "long-names"
        case openCalls = "open-calls"
        case threads
        case connections
        case allocations
        case kernels
        case stacks
        case processes

        var resource: Resource {
            switch self {
            case .functions, .longNames, .openCalls, .threads: .function
            case .connections: .network
            case .allocations: .memory
            case .kernels, .stacks: .gpu
            case .processes: .cpu
            }
        }

        /// Events in turn that a key has: a thread's call begins and ends, so that no calls pile up on known threads.
        var eventsPerKey: Int { self == .threads ? 2 : 1 }
    }

    private static let batchEvents = 1_000
    /// Wire bytes after which a window ends, as the router would end it.
    private static let windowBytes = Limits.windowWireBytesMax

    private let zone: TimeZoneRules
    private let directory: String

    /// - Parameter directory: Where the worker writes; its files are removed afterwards.
    package init(zone: TimeZoneRules, directory: String) {
        self.zone = zone
        self.directory = directory
    }

    /// Sends so many events, or more where each key would not have its own, of so many keys in turn to a new worker.
    /// Blocks for as long as that takes. The memory is that of this process: one measurement a process.
    package func run(_ kind: Kind, keys: Int, eventsMin: Int) throws -> KeyFigure {
        let events = max(eventsMin, keys * kind.eventsPerKey)
        let root = "\(directory)/trace-bench-keys"
        try? FileSystem.removeTree(root)
        try FileSystem.createDirectory(root)
        defer { try? FileSystem.removeTree(root) }
        let name = WorkerName(resource: kind.resource, index: 0)
        let worker = try StageWorker(name, zone: zone, root: root)
        var figure = KeyFigure(kind: kind.rawValue, keys: keys, events: events)
        var (sent, window, windowBytes) = (0, UInt64(0), 0)
        while sent < events {
            let batch = batch(kind, sent..<min(sent + Self.batchEvents, events), keys)
            let began = WallClock.threadTime()
            _ = try unsafe batch.withUnsafeBytes { try unsafe worker.apply($0) }
            figure.applyNanoseconds += WallClock.threadTime() - began
            sent += Self.batchEvents
            windowBytes += batch.count
            figure.wireBytes += batch.count
            guard windowBytes >= Self.windowBytes || sent >= events else { continue }
            let end = WallClock.threadTime()
            for run in try worker.closeWindow(window).flatMap(\.runs) {
                figure.writtenBytes += Int(run.bytes)
                try FileSystem.remove("\(root)/\(run.path)")
            }
            figure.applyNanoseconds += WallClock.threadTime() - end
            (window, windowBytes) = (window + 1, 0)
        }
        figure.stateBytes = worker.stateBytes
        let began = WallClock.threadTime()
        figure.checkpointBytes = worker.encodedStateBytes()
        figure.checkpointNanoseconds = WallClock.threadTime() - began
        figure.peakBytes = ProcessUsage(pid: Int(getpid()))?.peakBytes ?? 0
        return figure
    }

    private func batch(_ kind: Kind, _ range: Range<Int>, _ keys: Int) -> [UInt8] {
        var batch = BatchEncoder()
        let timestamp = Self.timestamp(WallClock.now())
        for number in range {
            let (turn, part) = number.quotientAndRemainder(dividingBy: kind.eventsPerKey)
            append(kind, turn % keys, part, timestamp, to: &batch)
        }
        return unsafe Array(batch.bytes)
    }

    /// Formats seconds and milliseconds since the epoch.
    private static func timestamp(_ time: EpochNanoseconds) -> String {
        let below = String(time / 1_000_000 % 1_000 + 1_000).dropFirst()
        return "\(time / 1_000_000_000).\(below)"
    }

    private func append(
        _ kind: Kind,
        _ key: Int,
        _ part: Int,
        _ timestamp: String,
        to batch: inout BatchEncoder
    ) {
        switch kind.resource {
        case .function:
            var event = BatchEncoder.Function()
            event.timestamp = timestamp
            event.tgid = 4_000
            event.pid = kind == .threads ? UInt32(5_000 + key) : 4_000 + UInt32(key % 8)
            event.cookie = kind == .openCalls ? Int64(key) : 0
            event.eventType = kind == .openCalls ? 0 : kind == .threads ? Int32(part) : 1
            event.functionName = kind == .threads || kind == .openCalls ? "main" : "f\(key)"
            if kind == .longNames {
                event.functionName += String(repeating: "n", count: Limits.nameBytesMax - 10)
            }
            batch.append(event)
        case .network:
            var event = BatchEncoder.Network()
            event.timestamp = timestamp
            (event.tgid, event.pid) = (4_000, 4_000)
            event.comm = "web"
            event.isSend = true
            event.bytes = 100
            event.sourceAddress = "10.0.0.1"
            event.sourcePort = UInt32(1_024 + key % 60_000)
            event.destinationAddress = "10.1.\(key / 15_000_000).\(key / 60_000 % 250)"
            event.destinationPort = 443
            event.transport = "TCP"
            batch.append(event)
        case .memory:
            var event = BatchEncoder.Memory()
            event.timestamp = timestamp
            (event.tgid, event.pid) = (4_000, 4_000)
            event.comm = "work"
            event.operation = "alloc"
            event.address = UInt64(key + 1) * 16
            event.size = 64
            batch.append(event)
        case .gpu:
            var event = BatchEncoder.GPU()
            event.timestamp = timestamp
            event.payload =
                kind == .kernels
                ? .launch(pid: 4_000, kernelName: "kernel\(key)", calls: 1)
                : .callStack(pid: 4_000, frames: ["main", "step", "leaf\(key)"])
            batch.append(event)
        case .cpu, .io:
            var event = BatchEncoder.CPU()
            event.timestamp = timestamp
            event.pid = UInt32(1_000 + key)
            event.comm = "p\(key % 1_000)"
            event.utilizationPercent = 1.5
            batch.append(event)
        }
    }
}

/// The cost of events with a number of keys.
package struct KeyFigure: Sendable, Codable {
    package let kind: String
    package let keys: Int
    package let events: Int
    package internal(set) var wireBytes = 0
    /// CPU time of the worker's thread, including the ends of windows.
    package internal(set) var applyNanoseconds: Int64 = 0
    /// Bytes of rows in segments.
    package internal(set) var writtenBytes = 0
    /// The state's size as it is charged to budgets.
    package internal(set) var stateBytes = 0
    /// Bytes of state in one copy of a checkpoint.
    package internal(set) var checkpointBytes = 0
    package internal(set) var checkpointNanoseconds: Int64 = 0
    /// The process's peak memory.
    package internal(set) var peakBytes = 0

    package static let head = """
        KIND            KEYS      EVENTS  NS/EVENT  WRITTEN B/EVENT  STATE MB  CHECKPOINT MB  ITS MS  MEMORY MB
        """

    /// The figures as a line below `head`.
    package var line: String {
        let columns: [(String, Int)] = [
            ("\(keys)", 20 - kind.count), ("\(events)", 12),
            ("\(applyNanoseconds / Int64(max(events, 1)))", 10),
            ("\(writtenBytes / max(events, 1))", 17), ("\(stateBytes >> 20)", 10),
            ("\(checkpointBytes >> 20)", 15),
            ("\(checkpointNanoseconds / 1_000_000)", 8), ("\(peakBytes >> 20)", 11),
        ]
        return columns.reduce(kind) { line, column in
            line + String(repeating: " ", count: max(1, column.1 - column.0.count)) + column.0
        }
    }
}
