import SystemIO
package import TraceModel

/// Encodes one `TraceBatch` (Protos/tracer_service.proto), for `tracectl` as a sender.
///
/// Omits fields with their proto3 default, as protoc's serializers do. Not for the server's hot path: texts are
/// Strings.
package struct BatchEncoder: ~Copyable {
    private var batch: RawBuffer
    /// One event until its length is known.
    private var event = FieldWriter()
    /// One nested message of an event until its length is known.
    private var inner = FieldWriter()
    /// Events appended since the start or the last `removeAll`.
    package private(set) var eventCount = 0

    package init(capacity: Int = 64 << 10) { batch = RawBuffer(capacity: capacity) }

    /// The batch so far, complete at any time; valid until the next mutating call.
    package var bytes: UnsafeRawBufferPointer { unsafe batch.bytes }

    /// Starts a new batch in the same memory.
    package mutating func removeAll() {
        batch.removeAll()
        eventCount = 0
    }

    /// Appends the fields other than events; those with default values are omitted.
    package mutating func append(_ envelope: Envelope) {
        event.text(100, envelope.clientID)
        event.varint(101, envelope.sequence)
        event.bool(102, envelope.isLastBatch)
        event.text(103, envelope.host)
        event.varint(104, UInt64(envelope.semantics?.rawValue ?? 0))
        unsafe batch.append(event.bytes)
        event.removeAll()
    }

    /// Appends the name of a process or thread, which does not count as an event.
    package mutating func append(_ name: Name) {
        event.varint(1, UInt64(name.pid))
        event.varint(2, UInt64(name.tid))
        event.text(3, name.name)
        event.signed(4, Int64(name.sortIndex))
        FieldWriter.lengthDelimited(NameEvent.batchField, count: event.count, into: &batch)
        unsafe batch.append(event.bytes)
        event.removeAll()
    }

    /// Appends a function event.
    package mutating func append(_ function: Function) {
        event.text(1, function.timestamp)
        event.signed(2, Int64(function.eventType))
        event.signed(3, function.cookie)
        event.text(4, function.functionName)
        event.varint(5, UInt64(function.pid))
        event.varint(6, function.callCount)
        event.varint(7, function.averageDurationMicroseconds)
        event.varint(8, UInt64(function.tgid))
        finishEvent(field: 1)
    }

    /// Appends a GPU event.
    package mutating func append(_ gpu: GPU) {
        event.text(1, gpu.timestamp)
        switch gpu.payload {
        case .none: break
        case .callStack(let pid, let frames):
            event.varint(2, 1)
            inner.varint(1, UInt64(pid))
            inner.text(2, frames.joined(separator: "\n"))
            finishInner(field: 3)
        case .memory(let pid, let bytes):
            event.varint(2, 2)
            inner.varint(1, UInt64(pid))
            inner.varint(2, bytes)
            finishInner(field: 4)
        case .launch(let pid, let kernelName, let calls):
            event.varint(2, 3)
            inner.text(1, kernelName)
            inner.varint(2, UInt64(pid))
            inner.varint(3, calls)
            finishInner(field: 5)
        case .transfer(let pid, let bytesPerSecond, let kind):
            event.varint(2, 4)
            inner.varint(1, UInt64(pid))
            inner.varint(2, bytesPerSecond)
            inner.text(3, kind)
            finishInner(field: 6)
        }
        finishEvent(field: 2)
    }

    /// Appends a CPU event.
    package mutating func append(_ cpu: CPU) {
        event.text(1, cpu.timestamp)
        event.varint(2, UInt64(cpu.pid))
        event.varint(3, UInt64(cpu.ppid))
        event.text(4, cpu.comm)
        event.varint(5, UInt64(cpu.cpuID))
        event.varint(6, cpu.onCPUMicroseconds)
        event.varint(7, cpu.offCPUMicroseconds)
        event.double(8, cpu.utilizationPercent)
        event.varint(10, UInt64(cpu.migrations))
        event.varint(11, UInt64(cpu.numaMigrations))
        event.varint(12, UInt64(cpu.hotspotCPU))
        event.double(13, cpu.hotspotPercent)
        finishEvent(field: 3)
    }

    /// Appends a memory event.
    package mutating func append(_ memory: Memory) {
        event.text(1, memory.timestamp)
        event.varint(2, UInt64(memory.pid))
        event.varint(3, UInt64(memory.tgid))
        event.text(4, memory.comm)
        event.text(5, memory.operation)
        event.varint(6, memory.size)
        event.varint(7, memory.address)
        event.varint(8, memory.stackID)
        event.varint(9, memory.totalAllocs)
        event.varint(10, memory.totalFrees)
        event.varint(11, memory.currentMemory)
        event.varint(12, memory.peakMemory)
        event.signed(13, Int64(memory.pattern))
        event.varint(14, UInt64(memory.largeAllocs))
        event.varint(15, UInt64(memory.fragmentationScore))
        event.bool(16, memory.leakSuspected)
        event.varint(17, UInt64(memory.churnScore))
        append(anomalies: memory.anomalies, field: 18)
        finishEvent(field: 4)
    }

    /// Appends a network event.
    package mutating func append(_ network: Network) {
        event.text(1, network.timestamp)
        event.varint(2, UInt64(network.pid))
        event.varint(3, UInt64(network.tgid))
        event.text(4, network.comm)
        event.bool(5, network.isSend)
        event.varint(6, network.bytes)
        event.text(7, network.sourceAddress)
        event.text(8, network.destinationAddress)
        event.varint(9, UInt64(network.sourcePort))
        event.varint(10, UInt64(network.destinationPort))
        event.text(11, network.transport)
        event.varint(12, network.txBytes)
        event.varint(13, network.rxBytes)
        event.varint(14, network.txPackets)
        event.varint(15, network.rxPackets)
        event.signed(16, Int64(network.pattern))
        event.varint(17, UInt64(network.retransmits))
        event.varint(18, UInt64(network.errors))
        event.bool(19, network.isBursty)
        event.varint(20, UInt64(network.activeConnections))
        append(anomalies: network.anomalies, field: 21)
        finishEvent(field: 5)
    }

    /// Appends an IO event.
    package mutating func append(_ io: IO) {
        event.text(1, io.timestamp)
        event.varint(2, UInt64(io.pid))
        event.text(3, io.comm)
        event.text(4, io.operation)
        event.varint(5, io.bytes)
        event.double(6, io.latencyMilliseconds)
        event.text(7, io.device)
        event.varint(8, UInt64(io.major))
        event.varint(9, UInt64(io.minor))
        event.varint(10, io.readBytes)
        event.varint(11, io.writeBytes)
        event.varint(12, io.readOperations)
        event.varint(13, io.writeOperations)
        event.double(14, io.averageReadLatencyMilliseconds)
        event.double(15, io.averageWriteLatencyMilliseconds)
        finishEvent(field: 6)
    }

    private mutating func append(anomalies: [Anomaly], field: UInt32) {
        for anomaly in anomalies {
            inner.text(1, anomaly.description)
            inner.double(2, anomaly.severity)
            finishInner(field: field)
        }
    }

    private mutating func finishInner(field: UInt32) {
        unsafe event.message(field, inner.bytes)
        inner.removeAll()
    }

    private mutating func finishEvent(field: UInt32) {
        FieldWriter.lengthDelimited(field, count: event.count, into: &batch)
        unsafe batch.append(event.bytes)
        event.removeAll()
        eventCount += 1
    }
}

// MARK: - Contents of a batch

/// Fields are named as in the proto file plus units; defaults are proto3's and are not written.
extension BatchEncoder {
    /// The fields of `TraceBatch` other than events and names.
    package struct Envelope: Sendable {
        package var clientID = ""
        package var sequence: UInt64 = 0
        package var isLastBatch = false
        package var host = ""
        /// Meaning of the events' fields; nil leaves it to the server's setting.
        package var semantics: Semantics?

        package init() {}
    }

    /// `Name`.
    package struct Name: Sendable {
        /// Process id.
        package var pid: UInt32 = 0
        /// Thread id; 0 for the name of the process.
        package var tid: UInt32 = 0
        package var name = ""
        /// Sort position of the process in viewers; 0 for unspecified.
        package var sortIndex: Int32 = 0

        package init() {}
    }

    /// `TraceData`.
    package struct Function: Sendable {
        package var timestamp = ""
        /// 0 entry, 1 exit.
        package var eventType: Int32 = 0
        package var cookie: Int64 = 0
        package var functionName = ""
        /// Thread id.
        package var pid: UInt32 = 0
        package var callCount: UInt64 = 0
        package var averageDurationMicroseconds: UInt64 = 0
        /// Process id.
        package var tgid: UInt32 = 0

        package init() {}
    }

    /// `GPUTraceData`.
    package struct GPU: Sendable {
        /// The member of the oneof.
        package enum Payload: Sendable {
            case none
            case callStack(pid: UInt32, frames: [String])
            case memory(pid: UInt32, bytes: UInt64)
            case launch(pid: UInt32, kernelName: String, calls: UInt64)
            case transfer(pid: UInt32, bytesPerSecond: UInt64, kind: String)
        }

        package var timestamp = ""
        package var payload = Payload.none

        package init() {}
    }

    /// `CPUTraceData`.
    package struct CPU: Sendable {
        package var timestamp = ""
        package var pid: UInt32 = 0
        package var ppid: UInt32 = 0
        package var comm = ""
        package var cpuID: UInt32 = 0
        package var onCPUMicroseconds: UInt64 = 0
        package var offCPUMicroseconds: UInt64 = 0
        package var utilizationPercent = 0.0
        package var migrations: UInt32 = 0
        package var numaMigrations: UInt32 = 0
        package var hotspotCPU: UInt32 = 0
        package var hotspotPercent = 0.0

        package init() {}
    }

    /// `Anomaly`.
    package struct Anomaly: Sendable {
        package var description = ""
        /// 0 to 1.
        package var severity = 0.0

        package init(description: String, severity: Double) {
            self.description = description
            self.severity = severity
        }
    }

    /// `MemoryTraceData`.
    package struct Memory: Sendable {
        package var timestamp = ""
        package var pid: UInt32 = 0
        package var tgid: UInt32 = 0
        package var comm = ""
        package var operation = ""
        package var size: UInt64 = 0
        package var address: UInt64 = 0
        package var stackID: UInt64 = 0
        package var totalAllocs: UInt64 = 0
        package var totalFrees: UInt64 = 0
        package var currentMemory: UInt64 = 0
        package var peakMemory: UInt64 = 0
        package var pattern: Int32 = 0
        package var largeAllocs: UInt32 = 0
        package var fragmentationScore: UInt32 = 0
        package var leakSuspected = false
        package var churnScore: UInt32 = 0
        package var anomalies: [Anomaly] = []

        package init() {}
    }

    /// `NetworkTraceData`.
    package struct Network: Sendable {
        package var timestamp = ""
        package var pid: UInt32 = 0
        package var tgid: UInt32 = 0
        package var comm = ""
        package var isSend = false
        package var bytes: UInt64 = 0
        package var sourceAddress = ""
        package var destinationAddress = ""
        package var sourcePort: UInt32 = 0
        package var destinationPort: UInt32 = 0
        /// Field `protocol`.
        package var transport = ""
        package var txBytes: UInt64 = 0
        package var rxBytes: UInt64 = 0
        package var txPackets: UInt64 = 0
        package var rxPackets: UInt64 = 0
        package var pattern: Int32 = 0
        package var retransmits: UInt32 = 0
        package var errors: UInt32 = 0
        package var isBursty = false
        package var activeConnections: UInt32 = 0
        package var anomalies: [Anomaly] = []

        package init() {}
    }

    /// `IOTraceData`.
    package struct IO: Sendable {
        package var timestamp = ""
        package var pid: UInt32 = 0
        package var comm = ""
        package var operation = ""
        package var bytes: UInt64 = 0
        package var latencyMilliseconds = 0.0
        package var device = ""
        package var major: UInt32 = 0
        package var minor: UInt32 = 0
        package var readBytes: UInt64 = 0
        package var writeBytes: UInt64 = 0
        package var readOperations: UInt64 = 0
        package var writeOperations: UInt64 = 0
        package var averageReadLatencyMilliseconds = 0.0
        package var averageWriteLatencyMilliseconds = 0.0

        package init() {}
    }
}

// MARK: - Fields

/// Writes protobuf fields; omits those with default values.
private struct FieldWriter: ~Copyable {
    private var buffer = RawBuffer(capacity: 512)

    var count: Int { buffer.count }
    var bytes: UnsafeRawBufferPointer { unsafe buffer.bytes }

    mutating func removeAll() { buffer.removeAll() }

    mutating func varint(_ field: UInt32, _ value: UInt64) {
        guard value != 0 else { return }
        buffer.append(varint: UInt64(field) << 3)
        buffer.append(varint: value)
    }

    /// Writes int32 and int64: negative values as ten bytes of two's complement.
    mutating func signed(_ field: UInt32, _ value: Int64) {
        varint(field, UInt64(bitPattern: value))
    }

    mutating func bool(_ field: UInt32, _ value: Bool) { varint(field, value ? 1 : 0) }

    mutating func double(_ field: UInt32, _ value: Double) {
        // Compares bits, so that −0 is written and NaN is handled.
        guard value.bitPattern != 0 else { return }
        buffer.append(varint: UInt64(field) << 3 | 1)
        buffer.append(integer: value.bitPattern)
    }

    mutating func text(_ field: UInt32, _ value: String) {
        guard !value.isEmpty else { return }
        Self.lengthDelimited(field, count: value.utf8.count, into: &buffer)
        buffer.append(value)
    }

    /// Writes a nested message, even an empty one, as its presence has a meaning.
    mutating func message(_ field: UInt32, _ bytes: UnsafeRawBufferPointer) {
        Self.lengthDelimited(field, count: bytes.count, into: &buffer)
        unsafe buffer.append(bytes)
    }

    static func lengthDelimited(_ field: UInt32, count: Int, into buffer: inout RawBuffer) {
        buffer.append(varint: UInt64(field) << 3 | 2)
        buffer.append(varint: UInt64(count))
    }
}
