import TraceModel
import TraceWire

/// An agent's buffers, one a kind of event: all of them go as soon as one is full.
struct BatchBuffers {
    /// Events in a full buffer.
    static let capacity = 100
    private static let order: [Resource] = [.function, .gpu, .cpu, .memory, .network, .io]

    private let dialect: Semantics
    private var names: [BatchEncoder.Name]
    private var buffers: [[AgentEvent]]

    /// `names` go with the first batch.
    init(dialect: Semantics, names: [BatchEncoder.Name]) {
        self.dialect = dialect
        self.names = names
        buffers = Self.order.map { _ in [] }
    }

    /// Takes in an event; the batch to send where that fills its buffer.
    mutating func append(_ event: AgentEvent) -> [UInt8]? {
        guard let place = Self.order.firstIndex(of: event.resource) else { return nil }
        buffers[place].append(event)
        return buffers[place].count < Self.capacity ? nil : flush()
    }

    /// The batch of all that is left; nil where nothing is.
    mutating func flush() -> [UInt8]? {
        guard buffers.contains(where: { !$0.isEmpty }) else { return nil }
        var encoder = BatchEncoder()
        for place in buffers.indices {
            for event in buffers[place] { Self.append(event, to: &encoder) }
            buffers[place].removeAll(keepingCapacity: true)
        }
        var envelope = BatchEncoder.Envelope()
        // The agents in the field know nothing of such a field.
        if dialect == .cumulative { envelope.semantics = .cumulative }
        encoder.append(envelope)
        for name in names { encoder.append(name) }
        names = []
        return encoder.bytes.map { $0 }
    }

    private static func append(_ event: AgentEvent, to encoder: inout BatchEncoder) {
        switch event {
        case .function(let function): encoder.append(function)
        case .gpu(let gpu): encoder.append(gpu)
        case .cpu(let cpu): encoder.append(cpu)
        case .memory(let memory): encoder.append(memory)
        case .network(let network): encoder.append(network)
        case .io(let io): encoder.append(io)
        }
    }
}
