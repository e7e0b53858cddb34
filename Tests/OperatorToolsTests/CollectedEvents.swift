import OperatorTools
import TraceWire

/// Keeps every event.
final class CollectedEvents: EventSink {
    var functions: [BatchEncoder.Function] = []
    var cpu: [BatchEncoder.CPU] = []
    var memory: [BatchEncoder.Memory] = []
    var network: [BatchEncoder.Network] = []
    var io: [BatchEncoder.IO] = []
    var names: [BatchEncoder.Name] = []

    func append(_ event: BatchEncoder.Function) { functions.append(event) }
    func append(_ event: BatchEncoder.CPU) { cpu.append(event) }
    func append(_ event: BatchEncoder.Memory) { memory.append(event) }
    func append(_ event: BatchEncoder.Network) { network.append(event) }
    func append(_ event: BatchEncoder.IO) { io.append(event) }
    func append(_ name: BatchEncoder.Name) { names.append(name) }
}
