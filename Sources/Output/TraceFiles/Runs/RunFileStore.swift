import SystemIO
import TraceModel

/// The run files of one worker: makes, writes and syncs them, with a bound on how many are open.
final class RunFileStore {
    let root: String
    let worker: WorkerName
    private let openFilesMax: Int
    private let csvHeader: StaticString

    var nextSerial: UInt64 = 0
    /// Label of the runs begun from now on.
    var order: LSN = 0
    /// Finds the order of rows.
    @exclusivity(unchecked) var sorter = StretchSort<RowKey>()
    @exclusivity(unchecked) private var appender = RunAppender()

    private var open: [RunFile] = []
    private var dirty: [RunFile] = []
    private var uses: UInt64 = 0
    private var hasNewNames = false
    /// There once there have been more files than may be open.
    private var fileSystem: FileSystemSync?

    init(root: String, worker: WorkerName, csvHeader: StaticString, openFilesMax: Int) {
        self.root = root
        self.worker = worker
        self.csvHeader = csvHeader
        self.openFilesMax = openFilesMax
    }

    var directory: String { ClusterPaths.segments(of: worker) }

    /// The number of run files open now.
    var openCount: Int { open.count }

    /// A new run; its file appears with the first write.
    func begin(_ kind: OutputKind, window: UInt64, host: HostTable.Host?) -> RunFile {
        var name = "\(worker.resource.name)_trace_w\(window)_r\(nextSerial)"
        if let host { name += "_" + SafeName.of(host.name) }
        let path = "\(directory)/\(name)\(kind.segmentSuffix)"
        let run = RunFile(path: path, serial: nextSerial, order: order)
        nextSerial += 1
        return run
    }

    /// Writes what stands before the rows and returns its length. Blocks.
    func writeHead(of run: RunFile, kind: OutputKind) throws(SystemError) -> Int {
        var head = RawBuffer(capacity: 4_096)
        switch kind {
        case .json: JSONSegment.appendOpenHeader(to: &head)
        case .csv:
            head.append(csvHeader)
            head.append("\r\n")
        case .stacks, .anomalies: break
        }
        try write(head.bytes, at: 0, to: run)
        if run.length == 0 { run.checksum = kind == .json ? 0 : Checksum.crc32c(head.bytes) }
        return head.count
    }

    /// Blocks. A failed write leaves the run as it was, as nobody looks beyond its length.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, to run: RunFile) throws(SystemError) {
        let handle = try opened(run)
        markDirty(run)
        try handle.file.write(bytes, at: offset)
    }

    /// Appends rows of `arenas` behind `end`, in the order of their keys; `bytes` is what they take together. Returns the
    /// run's checksum. Blocks. A failed one leaves the run as it was, as nobody looks beyond its length.
    func append(
        _ rows: UnsafeBufferPointer<RowKey>, of arenas: RowArenas, kind: OutputKind, bytes: Int, at end: Int,
        to run: RunFile
    ) throws(SystemError) -> UInt32? {
        let handle = try opened(run)
        markDirty(run)
        try appender.begin(
            handle.file, at: end, bytes: bytes,
            after: kind == .json && run.rows > 0
                ? JSONSegment.summedSeparator(after: run.checksum ?? 0) : run.checksum ?? 0,
            leaving: kind == .json ? JSONSegment.separatorBytes : 0)
        try RowKey.forEachStretch(of: rows, lookAhead: arenas.prefetch) { stretch throws(SystemError) in
            try appender.append(arenas[stretch], to: handle.file)
        }
        try appender.end(handle.file)
        return run.checksum.map { _ in appender.checksum }
    }

    func truncate(_ run: RunFile, to length: Int) throws(SystemError) {
        let handle = try opened(run)
        markDirty(run)
        try handle.file.truncate(to: length)
    }

    /// Everything written so far is on the disk when this returns. Blocks. A failure is final.
    func sync() throws(SystemError) {
        if dirty.count > Limits.filesSyncedSinglyMax, fileSystem != nil {
            try fileSystem?.sync()
            for run in dirty { run.isDirty = false }
        }
        for run in dirty where run.isDirty {
            try opened(run).file.syncData()
            run.isDirty = false
        }
        dirty.removeAll(keepingCapacity: dirty.count <= openFilesMax)
        guard hasNewNames else { return }
        try FileSystem.syncDirectory(absolute(directory))
        hasNewNames = false
    }

    func close(_ run: RunFile) {
        guard run.handle != nil else { return }
        run.handle = nil
        open.removeAll { $0 === run }
    }

    func absolute(_ path: String) -> String { root.isEmpty ? path : "\(root)/\(path)" }

    private func markDirty(_ run: RunFile) {
        guard !run.isDirty else { return }
        run.isDirty = true
        dirty.append(run)
    }

    private func opened(_ run: RunFile) throws(SystemError) -> RunFile.Handle {
        uses += 1
        run.lastUse = uses
        if let handle = run.handle { return handle }
        if open.count >= openFilesMax { try closeLeastRecentlyUsed() }
        let handle = try RunFile.Handle(absolute(run.path))
        if run.length == 0 { hasNewNames = true }
        run.handle = handle
        open.append(run)
        return handle
    }

    /// Syncs before it closes, as a write-back error is reported to descriptors that are open, unless all files are going to be
    /// synced together.
    private func closeLeastRecentlyUsed() throws(SystemError) {
        guard let oldest = open.indices.min(by: { open[$0].lastUse < open[$1].lastUse }) else { return }
        let run = open[oldest]
        if fileSystem == nil { fileSystem = try FileSystemSync(ofDirectories: [absolute(directory)]) }
        if run.isDirty, fileSystem == nil || dirty.count <= Limits.filesSyncedSinglyMax {
            try run.handle?.file.syncData()
            run.isDirty = false
            dirty.removeAll { $0 === run }
        }
        run.handle = nil
        open.remove(at: oldest)
    }
}

/// Appends rows that lie all over their buffer to a file: they are put together in blocks, and many of them at once go
/// past the page cache. What is rarely read again is not worth the copy, nor the cache what it would have to drop for it.
///
/// Direct writes take whole blocks only, so the last block of the file is written through the cache, and read back and
/// written again by the next append. One append at a time.
struct RunAppender: ~Copyable {
    /// Put together and written at once.
    private static let stageBytes = File.directBytesUsual

    private var stage = RawBuffer(capacity: stageBytes, alignment: File.blockBytes)
    /// Where the stage's first byte goes: at a block's begin where there are enough bytes for a direct write.
    private var place = 0
    /// Bytes at the stage's begin that the checksum does not take (again).
    private var summedBytes = 0
    /// Bytes of this append that the checksum still has to take.
    private var unsummedBytes = 0
    /// CRC-32C of what it was begun with and of this append, but for the bytes it was told to leave out at the end.
    private(set) var checksum: UInt32 = 0

    /// The next append begins at `end` and is `bytes` long. Its checksum goes on from `checksum` and leaves out the last
    /// `leaving` bytes.
    mutating func begin(
        _ file: borrowing File, at end: Int, bytes: Int, after checksum: UInt32 = 0, leaving: Int = 0
    ) throws(SystemError) {
        stage.removeAll()
        self.checksum = checksum
        unsummedBytes = bytes - leaving
        let begun = bytes >= File.directBytesMin ? end % File.blockBytes : 0
        place = end - begun
        let block = UnsafeMutableRawBufferPointer(start: stage.reserve(begun), count: begun)
        let found = try file.read(into: block, at: place)
        precondition(found == begun, "a run is shorter than what was written to it")
        stage.commit(begun)
        summedBytes = begun
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, to file: borrowing File) throws(SystemError) {
        var rest = bytes
        while stage.count + rest.count >= Self.stageBytes {
            let fitting = Self.stageBytes - stage.count
            stage.append(UnsafeRawBufferPointer(rebasing: rest[..<fitting]))
            rest = UnsafeRawBufferPointer(rebasing: rest[fitting...])
            try end(file)
            place += stage.count
            stage.removeAll()
        }
        stage.append(rest)
    }

    /// Writes what is still here.
    mutating func end(_ file: borrowing File) throws(SystemError) {
        let count = min(stage.count - summedBytes, unsummedBytes)
        checksum = Checksum.crc32c(
            UnsafeRawBufferPointer(rebasing: stage.bytes[summedBytes..<(summedBytes + count)]), after: checksum)
        unsummedBytes -= count
        summedBytes = 0
        try file.writeDirectly(stage.bytes, at: place)
    }
}
