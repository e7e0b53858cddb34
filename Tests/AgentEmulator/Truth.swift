import Foundation
import TraceModel
import TraceWire

/// What really happened in a run, and what of it was sent.
package struct Truth: Codable, Equatable, Sendable {
    package let seed: UInt64
    package let dialect: String
    package let scenario: String
    /// Seconds since the epoch.
    package let start: Int64
    package let batches: Int
    /// By resource, of all processes.
    package let eventsSent: [String: Int]
    /// The rules that must fire, and no others.
    package let rules: [ExpectedRule]
    /// By process id.
    package let processes: [String: ProcessTruth]

    init(_ options: EmulatedRun.Options, _ program: ProgramRun, sent: [SentEvent], batchCount: Int)
    {
        seed = options.seed
        dialect = options.dialect.name
        scenario = options.scenario.rawValue
        start = options.start
        batches = batchCount
        rules = options.scenario.expectedRules
        var builders = program.processes.map { TruthBuilder($0, options.dialect) }
        for happening in program.happenings { builders[happening.process].note(happening) }
        for event in sent { builders[event.happening.process].note(event) }
        processes = Dictionary(
            uniqueKeysWithValues: builders.map { (String($0.process.pid), $0.truth) }
        )
        eventsSent = processes.values.reduce(into: [:]) { sums, process in
            sums.merge(process.eventsSent, uniquingKeysWith: +)
        }
    }

    /// As JSON, keys in order, names with underscores.
    package func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

/// What really happened in one process.
package struct ProcessTruth: Codable, Equatable, Sendable {
    package var comm: String
    package var threads: [UInt32]
    /// By resource.
    package var eventsSent: [String: Int] = [:]
    /// By name as the server shows it.
    package var functions: [String: FunctionTruth] = [:]
    package var cpu = CPUTruth()
    package var memory = MemoryTruth()
    package var network = NetworkTruth()
    package var io = IOTruth()
    package var gpu = GPUTruth()
}

/// What really happened with one function.
package struct FunctionTruth: Codable, Equatable, Sendable {
    package var cookie: Int64
    package var calls = 0
    /// Calls that have ended.
    package var finished = 0
    /// Of the calls that have ended, microseconds.
    package var durationSum: Int64 = 0
    package var meanMicroseconds = 0.0
    package var entriesSent = 0
    package var exitsSent = 0
    /// The call count and the mean of the last event sent; the mean of 0 calls is 0.
    package var callsLastSent: UInt64 = 0
    package var meanMicrosecondsLastSent: UInt64 = 0
    /// Calls of which entry and exit were sent, by the rule that proves it.
    package var pairs = 0
    /// Between the time stamps of the pairs.
    package var pairMillisecondsSum: Int64 = 0
    package var pairMillisecondsMax: Int64 = 0
    /// Pairs by that rule which are of two calls in truth.
    package var pairsOfTwoCalls = 0

    package init(cookie: Int64) { self.cookie = cookie }
}

/// What a process did on its CPUs.
package struct CPUTruth: Codable, Equatable, Sendable {
    /// Time on a CPU.
    package var seconds = 0.0
    package var migrations = 0
    package var numaMigrations = 0
}

/// What a process allocated.
package struct MemoryTruth: Codable, Equatable, Sendable {
    package var allocations = 0
    package var frees = 0
    package var allocatedBytes: UInt64 = 0
    package var freedBytes: UInt64 = 0
}

/// What a process sent and received.
package struct NetworkTruth: Codable, Equatable, Sendable {
    package var txBytes: UInt64 = 0
    package var rxBytes: UInt64 = 0
    package var txPackets = 0
    package var rxPackets = 0
    /// The sum of the bytes of the events that were sent.
    package var txBytesSent: UInt64 = 0
    package var rxBytesSent: UInt64 = 0
    /// Distinct connections, both directions of one being one.
    package var connections = 0
}

/// What a process read and wrote.
package struct IOTruth: Codable, Equatable, Sendable {
    package var readBytes: UInt64 = 0
    package var writeBytes: UInt64 = 0
    package var readOperations = 0
    package var writeOperations = 0
}

/// What a process did on the GPU.
package struct GPUTruth: Codable, Equatable, Sendable {
    /// By kernel.
    package var launches: [String: Int] = [:]
    /// The last rate by kind, bytes per second.
    package var transferRates: [String: Double] = [:]
    package var memoryBytes: UInt64 = 0
    package var callStacks = 0
}

/// Adds up what happened in one process.
private struct TruthBuilder {
    let process: TracedProcess
    private var sums: ProcessTruth
    private var connections: Set<Connection> = []
    private var proof: PairProof

    init(_ process: TracedProcess, _ dialect: Semantics) {
        self.process = process
        sums = ProcessTruth(comm: process.comm, threads: process.threads.map(\.id))
        proof = PairProof(dialect)
    }

    mutating func note(_ happening: Happening) {
        switch happening.action {
        case .enter(let function): update(function) { $0.calls += 1 }
        case .leave(let function, let began):
            update(function) {
                $0.finished += 1
                $0.durationSum += happening.time - began
            }
        case .scheduled(let slice):
            sums.cpu.seconds += Double(slice.onTime) / 1e6
            sums.cpu.migrations += slice.isMigration ? 1 : 0
            sums.cpu.numaMigrations += slice.isNUMAMigration ? 1 : 0
        case .allocate(let block):
            sums.memory.allocations += 1
            sums.memory.allocatedBytes += block.size
        case .free(let block):
            sums.memory.frees += 1
            sums.memory.freedBytes += block.size
        case .packet(let packet): note(packet)
        case .disk(let operation): note(operation)
        case .launch(let kernel): sums.gpu.launches[kernel, default: 0] += 1
        case .deviceMemory(let bytes): sums.gpu.memoryBytes = bytes
        case .transfer(let kind, let rate): sums.gpu.transferRates[kind] = rate * 1_048_576
        case .callStack: sums.gpu.callStacks += 1
        }
    }

    mutating func note(_ sent: SentEvent) {
        sums.eventsSent[sent.event.resource.name, default: 0] += 1
        switch sent.event {
        case .function(let event):
            proof.note(event, sent.happening)
            note(event, sent.happening.action)
        case .network(let event):
            if event.isSend {
                sums.network.txBytesSent += event.bytes
            } else {
                sums.network.rxBytesSent += event.bytes
            }
        default: break
        }
    }

    var truth: ProcessTruth {
        var builder = self
        for pair in proof.pairs {
            builder.update(pair.function) {
                $0.pairs += 1
                $0.pairMillisecondsSum += pair.milliseconds
                $0.pairMillisecondsMax = max($0.pairMillisecondsMax, pair.milliseconds)
                if !pair.isOneCall { $0.pairsOfTwoCalls += 1 }
            }
        }
        for (name, function) in builder.sums.functions where function.finished > 0 {
            builder.sums.functions[name]?.meanMicroseconds =
                Double(function.durationSum) / Double(function.finished)
        }
        builder.sums.network.connections = connections.count
        return builder.sums
    }

    private mutating func update(_ function: ProgramFunction, _ body: (inout FunctionTruth) -> Void)
    {
        body(&sums.functions[function.shownName, default: FunctionTruth(cookie: function.cookie)])
    }

    private mutating func note(_ event: BatchEncoder.Function, _ action: Action) {
        switch action {
        case .enter(let function), .leave(let function, _):
            update(function) {
                if event.eventType == 0 { $0.entriesSent += 1 } else { $0.exitsSent += 1 }
                $0.callsLastSent = event.callCount
                $0.meanMicrosecondsLastSent = event.averageDurationMicroseconds
            }
        default: break
        }
    }

    private mutating func note(_ packet: Packet) {
        connections.insert(packet.connection)
        if packet.isSend {
            sums.network.txBytes += packet.bytes
            sums.network.txPackets += 1
        } else {
            sums.network.rxBytes += packet.bytes
            sums.network.rxPackets += 1
        }
    }

    private mutating func note(_ operation: DiskOperation) {
        if operation.isRead {
            sums.io.readBytes += operation.bytes
            sums.io.readOperations += 1
        } else {
            sums.io.writeBytes += operation.bytes
            sums.io.writeOperations += 1
        }
    }
}
