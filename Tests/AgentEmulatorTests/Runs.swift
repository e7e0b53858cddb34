import AgentEmulator
import TraceModel
import TraceWire

/// Runs that several tests share, made once.
enum Runs {
    static let standard = run(.neutracer, .standard)
    static let standardCumulative = run(.cumulative, .standard)
    static let hourly = run(.neutracer, .hourly)

    /// A run of the default seed, made anew only where it is small.
    static func shared(_ dialect: Semantics, _ scenario: Scenario) -> EmulatedRun {
        switch (dialect, scenario) {
        case (.neutracer, .standard): standard
        case (.neutracer, .hourly): hourly
        // No counter of this dialect is ever reset.
        case (.cumulative, .standard), (.cumulative, .hourly): standardCumulative
        default: run(dialect, scenario)
        }
    }

    static func run(
        _ dialect: Semantics,
        _ scenario: Scenario,
        seed: UInt64 = 7,
        sendsNames: Bool = false
    ) -> EmulatedRun {
        var options = EmulatedRun.Options(seed: seed, dialect: dialect, scenario: scenario)
        options.sendsNames = sendsNames
        return EmulatedRun(options)
    }
}

extension EmulatedRun {
    /// What was sent of one process.
    func sent(process: Int) -> [SentEvent] { sent.filter { $0.happening.process == process } }

    func memoryEvents(process: Int) -> [BatchEncoder.Memory] {
        sent(process: process).compactMap {
            guard case .memory(let event) = $0.event else { return nil }
            return event
        }
    }

    func networkEvents(process: Int) -> [BatchEncoder.Network] {
        sent(process: process).compactMap {
            guard case .network(let event) = $0.event else { return nil }
            return event
        }
    }

    func diskEvents(process: Int) -> [BatchEncoder.IO] {
        sent(process: process).compactMap {
            guard case .io(let event) = $0.event else { return nil }
            return event
        }
    }

    func cpuEvents(process: Int) -> [BatchEncoder.CPU] {
        sent(process: process).compactMap {
            guard case .cpu(let event) = $0.event else { return nil }
            return event
        }
    }

    /// The truth about a process, by its position.
    func truth(process: Int) throws -> ProcessTruth {
        guard let truth = truth.processes[String(program.processes[process].pid)] else {
            throw MissingProcess()
        }
        return truth
    }

    struct MissingProcess: Error {}
}

/// The resource of what happened.
func resource(of action: Action) -> Resource {
    switch action {
    case .enter, .leave: .function
    case .scheduled: .cpu
    case .allocate, .free: .memory
    case .packet: .network
    case .disk: .io
    case .launch, .deviceMemory, .transfer, .callStack: .gpu
    }
}
