import TraceModel
import TraceWire

/// What the pipeline requires of an event; `WireEvent` provides it. The conformances are in this module so that the
/// compiler can devirtualise the calls.
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
