package import TraceModel
import TraceWire

/// A run of a traced program as agents send it, with the truth beside it.
package struct EmulatedRun: Sendable {
    package let program: ProgramRun
    /// In the order in which agents send them.
    package let sent: [SentEvent]
    /// Encoded `TraceBatch` messages.
    package let batches: [[UInt8]]
    package let truth: Truth

    /// What to emulate.
    package struct Options: Sendable {
        package var seed: UInt64
        package var dialect: Semantics
        package var scenario: Scenario
        /// Seconds since the epoch.
        package var start: Int64 = 1_760_000_000
        /// Whether names of processes and threads are sent; only `cumulative` has them.
        package var sendsNames = false

        package init(seed: UInt64, dialect: Semantics, scenario: Scenario) {
            self.seed = seed
            self.dialect = dialect
            self.scenario = scenario
        }
    }

    package init(_ options: Options) {
        let program = options.scenario.program(seed: options.seed)
        var agents = Self.agents(options, program)
        let names = Self.names(options, program)
        var buffers = agents.map { _ in BatchBuffers(dialect: options.dialect, names: names) }
        var sent: [SentEvent] = []
        var batches: [[UInt8]] = []
        var reset = options.scenario.hourlyReset
        for happening in program.happenings {
            if let time = reset, happening.time >= time {
                for place in agents.indices { agents[place].resetHourlyCounters(at: time) }
                reset = nil
            }
            // One agent traces one process, or one traces all.
            let place = min(happening.process, agents.count - 1)
            guard let event = agents[place].observe(happening) else { continue }
            sent.append(SentEvent(happening: happening, event: event))
            if let batch = buffers[place].append(event) { batches.append(batch) }
        }
        for place in buffers.indices {
            if let batch = buffers[place].flush() { batches.append(batch) }
        }
        self.program = program
        self.sent = sent
        self.batches = batches
        truth = Truth(options, program, sent: sent, batchCount: batches.count)
    }

    private static func agents(_ options: Options, _ program: ProgramRun) -> [any Agent] {
        switch options.dialect {
        case .neutracer: program.processes.map { NeutracerAgent(process: $0, start: options.start) }
        case .cumulative: [CumulativeAgent(processes: program.processes, start: options.start)]
        }
    }

    private static func names(_ options: Options, _ program: ProgramRun) -> [BatchEncoder.Name] {
        guard options.sendsNames, options.dialect == .cumulative else { return [] }
        return program.processes.flatMap { process in
            [name(process.pid, thread: 0, process.comm)]
                + process.threads.map { name(process.pid, thread: $0.id, $0.name) }
        }
    }

    private static func name(_ pid: UInt32, thread: UInt32, _ name: String) -> BatchEncoder.Name {
        var entry = BatchEncoder.Name()
        entry.pid = pid
        entry.tid = thread
        entry.name = name
        return entry
    }
}
