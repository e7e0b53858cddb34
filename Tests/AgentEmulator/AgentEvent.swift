package import TraceModel
package import TraceWire

/// An event as an agent sends it.
package enum AgentEvent: Sendable {
    case function(BatchEncoder.Function)
    case gpu(BatchEncoder.GPU)
    case cpu(BatchEncoder.CPU)
    case memory(BatchEncoder.Memory)
    case network(BatchEncoder.Network)
    case io(BatchEncoder.IO)

    package var resource: Resource {
        switch self {
        case .function: .function
        case .gpu: .gpu
        case .cpu: .cpu
        case .memory: .memory
        case .network: .network
        case .io: .io
        }
    }
}

/// An event that was sent, with what happened.
package struct SentEvent: Sendable {
    package let happening: Happening
    package let event: AgentEvent
}

/// What turns the happenings of the processes that it traces into events.
protocol Agent {
    /// Takes in what happened next, whether or not it sends it. The event to send, nil where it skips it.
    mutating func observe(_ happening: Happening) -> AgentEvent?

    /// Sets those counters back that the agent sets back once an hour.
    mutating func resetHourlyCounters(at time: Int64)
}
