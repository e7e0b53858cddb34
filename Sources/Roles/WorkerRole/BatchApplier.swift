import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

/// Passes a worker's part of each batch to its processor.
final class BatchApplier {
    private let processor: any TraceProcessor
    private let machine: [UInt8]
    /// Host of the last batch. Cached, because consecutive batches often have the same host.
    private var lastHost: (name: [UInt8], id: HostID, hash: UInt64)?

    /// `machine` is the name of this machine, as batches contain it.
    init(_ processor: any TraceProcessor, machine: String) {
        self.processor = processor
        self.machine = Array(machine.utf8)
    }

    /// Applies a batch whose `body` contains the fields of the events and names that belong to the worker.
    func apply(
        _ body: UnsafeRawBufferPointer,
        host name: UnsafeRawBufferPointer,
        arrival: EpochNanoseconds,
        lsn: LSN,
        semantics: Semantics
    ) throws {
        let host = unsafe host(name)
        let view = unsafe TraceBatchView(
            bytes: body,
            host: host.id,
            hostHash: host.hash,
            arrival: arrival,
            lsn: lsn,
            semantics: semantics
        )
        _ = try processor.processTraces(view, isLastBatch: false)
    }

    /// Clears the cached host, because its number may have been given to another host.
    func forgetHost() { lastHost = nil }

    private func host(_ name: UnsafeRawBufferPointer) -> (name: [UInt8], id: HostID, hash: UInt64) {
        if let lastHost, unsafe lastHost.name.elementsEqual(name) { return lastHost }
        let id = unsafe processor.files.registerHost(
            ByteView(name),
            isThisMachine: machine.elementsEqual(name)
        )
        let host = unsafe (Array(name), id, Slot.hash(host: name))
        lastHost = host
        return host
    }
}
