import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
import TraceTime
import TraceWire

/// A worker's processor with its files, for stages.
final class StageWorker {
    private static let hostName = "bench"

    let index: Int
    private let files: TraceFileManager
    private let processor: any TraceProcessor
    private let host: HostID
    private let hostHash: UInt64
    private var lsn: LSN = 0

    /// `root`: its data directory.
    init(_ name: WorkerName, zone: TimeZoneRules, root: String) throws {
        index = name.index
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: name.resource),
            timeZoneName: zone.name,
            root: root
        )
        processor = ProcessorRegistry.makeProcessor(of: name.resource, files: files, zone: zone)
        self.files = files
        var text = Self.hostName
        (host, hostHash) = text.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            return (
                files.registerHost(ByteView(bytes), isThisMachine: true),
                Slot.hash(host: bytes)
            )
        }
    }

    /// Applies its share of a batch; returns how many events there were.
    func apply(_ share: UnsafeRawBufferPointer) throws -> Int {
        lsn += LSN(share.count)
        let view = TraceBatchView(
            bytes: share,
            host: host,
            hostHash: hostHash,
            arrival: WallClock.now(),
            lsn: lsn,
            semantics: .cumulative
        )
        return try processor.processTraces(view, isLastBatch: false)
    }

    /// What the state takes, as budgets are charged.
    var stateBytes: Int { processor.stateBytes }

    /// Encodes the state as a checkpoint does; how many bytes it takes.
    func encodedStateBytes() -> Int {
        var bytes = 0
        var buffer = RawBuffer()
        for slot in 0..<Slot.count {
            buffer.removeAll()
            processor.saveState(slot: UInt8(slot), into: &buffer)
            bytes += buffer.count
        }
        return bytes
    }

    /// Ends the open window, the first of which is 0; what it was about is forgotten.
    func closeWindow(_ window: UInt64) throws -> [ClosedFile] {
        let closed = try processor.finalize(stem: "bench\(window)", nextWindow: window + 1)
        _ = processor.takeSummary()
        return closed
    }

    /// The resource's events of a batch, as the router would send them to the worker of these processes.
    static func share(
        of resource: Resource,
        in batch: [UInt8],
        where isOwned: (UInt32) -> Bool = { _ in true }
    ) throws -> [UInt8] {
        var index = EventIndex()
        return try batch.withUnsafeBytes { bytes in
            _ = try BatchScanner.scan(bytes, into: &index)
            var share: [UInt8] = []
            for position in 0..<index.count where index[position].resource == resource {
                let entry = index[position]
                guard isOwned(entry.processID) else { continue }
                let start = Int(entry.offset)
                share += bytes[start..<(start + Int(entry.length))]
            }
            return share
        }
    }
}
