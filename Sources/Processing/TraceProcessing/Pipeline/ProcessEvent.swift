import TraceModel
import TraceWire

/// What the pipeline asks of an event, as `WireEvent` has it. The conformances stand in this module so that the
/// compiler sees what each call leads to.
protocol ProcessEvent {
    static var resource: Resource { get }

    var timestamp: ByteView { get }
    var processID: UInt32 { get }
    var threadID: UInt32 { get }

    init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?)
}

extension FunctionEvent: ProcessEvent {}
extension CPUEvent: ProcessEvent {}
extension MemoryEvent: ProcessEvent {}
extension NetworkEvent: ProcessEvent {}
extension IOEvent: ProcessEvent {}
extension GPUEvent: ProcessEvent {}
