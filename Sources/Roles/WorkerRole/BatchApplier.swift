import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

/// Hands a worker's part of each batch to its processor.
final class BatchApplier {
    private let processor: any TraceProcessor
    private let machine: [UInt8]
    /// The host of the last batch: batches of one host come in runs.
    private var lastHost: (name: [UInt8], id: HostID, hash: UInt64)?

    /// `machine`: this machine's name, as batches give it.
    init(_ processor: any TraceProcessor, machine: String) {
        self.processor = processor
        self.machine = Array(machine.utf8)
    }

    /// `body`: the fields of the events and names that are the worker's.
    func apply(
        _ body: UnsafeRawBufferPointer,
        host name: UnsafeRawBufferPointer,
        arrival: EpochNanoseconds,
        lsn: LSN,
        semantics: Semantics
    ) throws {
        let host = host(name)
        let view = TraceBatchView(
            bytes: body,
            host: host.id,
            hostHash: host.hash,
            arrival: arrival,
            lsn: lsn,
            semantics: semantics
        )
        _ = try processor.processTraces(view, isLastBatch: false)
    }

    /// Another host may have been given the last one's number.
    func forgetHost() { lastHost = nil }

    private func host(_ name: UnsafeRawBufferPointer) -> (name: [UInt8], id: HostID, hash: UInt64) {
        if let lastHost, lastHost.name.elementsEqual(name) { return lastHost }
        let id = processor.files.registerHost(
            ByteView(name),
            isThisMachine: machine.elementsEqual(name)
        )
        let host = (Array(name), id, Slot.hash(host: name))
        lastHost = host
        return host
    }
}
