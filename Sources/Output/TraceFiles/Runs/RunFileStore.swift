import SystemIO
import TraceModel

/// The run files of one worker: creates, writes and syncs them, and limits how many are open.
final class RunFileStore {
    let root: String
    let worker: WorkerName
    private let openFilesMax: Int
    private let csvHeader: StaticString

    var nextSerial: UInt64 = 0
    /// The `order` of runs that are started from now on.
    var order: LSN = 0
    /// Sorts the keys of run buffers.
    @exclusivity(unchecked) var sorter = NaturalMergeSort<RowKey>()
    @exclusivity(unchecked) private var appender = RunAppender()

    private var open: [RunFile] = []
    private var dirty: [RunFile] = []
    private var uses: UInt64 = 0
    private var hasNewNames = false
    /// Set once there were more files than may be open at once.
    private var fileSystem: FileSystemSync?

    init(root: String, worker: WorkerName, csvHeader: StaticString, openFilesMax: Int) {
        self.root = root
        self.worker = worker
        self.csvHeader = csvHeader
        self.openFilesMax = openFilesMax
    }

    var directory: String { ClusterPaths.segments(of: worker) }

    /// The number of open run files.
    var openCount: Int { open.count }

    /// Starts a run. Its file is created by the first write.
    func begin(_ kind: OutputKind, window: UInt64, host: HostTable.Host?) -> RunFile {
        var name = "\(worker.resource.name)_trace_w\(window)_r\(nextSerial)"
        if let host { name += "_" + SafeName.of(host.name) }
        let path = "\(directory)/\(name)\(kind.segmentSuffix)"
        let run = RunFile(path: path, serial: nextSerial, order: order)
        nextSerial += 1
        return run
    }

    /// Writes the bytes before the first row and returns their number. Blocks.
    func writeHead(of run: RunFile, kind: OutputKind) throws(SystemError) -> Int {
        var head = RawBuffer(capacity: 4_096)
        switch kind {
        case .json: JSONSegment.appendOpenHeader(to: &head)
        case .csv:
            head.append(csvHeader)
            head.append("\r\n")
        case .stacks, .anomalies, .profile: break
        }
        try unsafe write(head.bytes, at: 0, to: run)
        if run.length == 0 { run.checksum = unsafe kind == .json ? 0 : Checksum.crc32c(head.bytes) }
        return head.count
    }

    /// Writes to a run. A failed write has no effect on the run, because nothing reads beyond its length. Blocks.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, to run: RunFile) throws(SystemError)
    {
        let handle = try opened(run)
        markDirty(run)
        try unsafe handle.file.write(bytes, at: offset)
    }

    /// Appends rows of `arenas` at `end`, in the order of their keys, and returns the run's new checksum. `bytes` is
    /// the total size of the rows. A failed append has no effect on the run, because nothing reads beyond its length.
    /// Blocks.
    func append(
        _ rows: UnsafeBufferPointer<RowKey>,
        of arenas: RowArenas,
        kind: OutputKind,
        bytes: Int,
        at end: Int,
        to run: RunFile
    ) throws(SystemError) -> UInt32? {
        let handle = try opened(run)
        markDirty(run)
        try unsafe appender.begin(
            handle.file,
            at: end,
            bytes: bytes,
            after: kind == .json && run.rows > 0
                ? JSONSegment.summedSeparator(after: run.checksum ?? 0) : run.checksum ?? 0,
            leaving: kind == .json ? JSONSegment.separatorBytes : 0
        )
        try unsafe RowKey.forEachRange(of: rows, prefetch: arenas.prefetch) {
            range throws(SystemError) in
            try unsafe appender.append(arenas[range], to: handle.file)
        }
        try unsafe appender.end(handle.file)
        return run.checksum.map { _ in unsafe appender.checksum }
    }

    func truncate(_ run: RunFile, to length: Int) throws(SystemError) {
        let handle = try opened(run)
        markDirty(run)
        try handle.file.truncate(to: length)
    }

    /// Syncs everything written so far to the disk. Blocks. A failure is final.
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

    /// Syncs the file before it is closed, because the kernel reports write-back errors only to open descriptors,
    /// unless all files will be synced together.
    private func closeLeastRecentlyUsed() throws(SystemError) {
        guard let oldest = open.indices.min(by: { open[$0].lastUse < open[$1].lastUse }) else {
            return
        }
        let run = open[oldest]
        if fileSystem == nil {
            fileSystem = try FileSystemSync(ofDirectories: [absolute(directory)])
        }
        if run.isDirty, fileSystem == nil || dirty.count <= Limits.filesSyncedSinglyMax {
            try run.handle?.file.syncData()
            run.isDirty = false
            dirty.removeAll { $0 === run }
        }
        run.handle = nil
        open.remove(at: oldest)
    }
}

/// Appends rows that are scattered over their buffer to a file. Gathers them into blocks and writes large amounts past
/// the page cache: the rows are rarely read again, so caching them would cost a copy and displace other pages.
///
/// Direct writes take whole blocks only. The last, partial block of the file is therefore written through the cache;
/// the next append reads it back and writes it again. One append at a time.
struct RunAppender: ~Copyable {
    /// The number of bytes gathered for one write.
    private static let stageBytes = File.directBytesUsual

    private var stage = RawBuffer(capacity: stageBytes, alignment: File.blockBytes)
    /// The file offset of the stage's first byte. Aligned to a block if the append is large enough for a direct write.
    private var fileOffset = 0
    /// The leading bytes of the stage that are already part of the checksum.
    private var summedBytes = 0
    /// The bytes of this append that are not yet part of the checksum.
    private var unsummedBytes = 0
    /// CRC-32C of this append, continued from the initial value and without the trailing bytes that `begin` excludes.
    private(set) var checksum: UInt32 = 0

    /// Starts an append of `bytes` bytes at offset `end`. The checksum continues from `checksum` and excludes the last
    /// `leaving` bytes.
    mutating func begin(
        _ file: borrowing File,
        at end: Int,
        bytes: Int,
        after checksum: UInt32 = 0,
        leaving: Int = 0
    ) throws(SystemError) {
        stage.removeAll()
        self.checksum = checksum
        unsummedBytes = bytes - leaving
        let begun = bytes >= File.directBytesMin ? end % File.blockBytes : 0
        fileOffset = end - begun
        let block = unsafe UnsafeMutableRawBufferPointer(start: stage.reserve(begun), count: begun)
        let found = try unsafe file.read(into: block, at: fileOffset)
        precondition(found == begun, "a run is shorter than what was written to it")
        stage.commit(begun)
        summedBytes = begun
    }

    mutating func append(
        _ bytes: UnsafeRawBufferPointer,
        to file: borrowing File
    ) throws(SystemError) {
        var rest = unsafe bytes
        while stage.count + rest.count >= Self.stageBytes {
            let fitting = Self.stageBytes - stage.count
            unsafe stage.append(UnsafeRawBufferPointer(rebasing: rest[..<fitting]))
            unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest[fitting...])
            try end(file)
            fileOffset += stage.count
            stage.removeAll()
        }
        unsafe stage.append(rest)
    }

    /// Writes the gathered bytes.
    mutating func end(_ file: borrowing File) throws(SystemError) {
        let count = min(stage.count - summedBytes, unsummedBytes)
        checksum = unsafe Checksum.crc32c(
            UnsafeRawBufferPointer(rebasing: stage.bytes[summedBytes..<(summedBytes + count)]),
            after: checksum
        )
        unsummedBytes -= count
        summedBytes = 0
        try unsafe file.writeDirectly(stage.bytes, at: fileOffset)
    }
}
