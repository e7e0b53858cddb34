import SystemIO
import TraceModel

/// The limits of one manager or merger. The defaults come from `Limits`; tests use smaller ones.
package struct FileBudget: Sendable {
    /// A run buffer is flushed at this size, in bytes.
    package var runFlushBytes = Limits.runFlushBytes
    /// The budget of all run buffers of one worker together, in bytes.
    package var runBufferBytesMax = Limits.runBufferBytesMax
    package var runHoldbackNanoseconds = Limits.runHoldbackNanoseconds
    package var openFilesMax = Limits.openFilesMax
    /// The number of hosts that one worker remembers.
    package var hostsMax = Limits.hostsMax
    /// The number of single-host files that one worker may have in a window.
    package var hostFilesMax = Limits.hostFilesPerWindowMax
    /// The read buffer of one run in a merge, and the write buffer of the merge's output, in bytes.
    package var mergeBufferBytes = Limits.mergeBufferBytes
    /// The number of runs merged at once. More take several passes.
    package var mergeRunsMax = Limits.mergeRunsMax
    /// The size of one final trace or table before compression, in bytes. A larger output becomes several files.
    package var finalFileBytesMax = Limits.finalFileBytesMax

    package init() {}
}

/// Which rows a flush writes.
package enum FlushScope: Sendable {
    /// Writes full buffers only. Young rows stay, at most half of the buffer.
    case full
    /// Writes every buffer. Young rows stay unless none arrived since the previous tick.
    case tick
    /// Writes all rows, at barriers and checkpoints.
    case all
}

/// The sort key of the last row in a run. The next row must not be smaller.
struct RunPosition {
    var ts: EpochNanoseconds
    var pid: UInt32
    var host: UInt32

    static let beginning = RunPosition(ts: .min, pid: 0, host: 0)
}

/// Totals over all run buffers of a worker: buffered bytes, and bytes written for the open window.
@safe
final class RunLedger {
    @exclusivity(unchecked) var bytes = 0
    /// Bytes in the runs of the open window. `writtenStackBytes` is the part that consists of call stacks,
    /// `writtenProfileBytes` that of call trees.
    private(set) var writtenBytes = 0
    /// The buffers that have rows or names in the open window, in order of their first one. Unretained: the manager
    /// keeps them alive until the window is closed.
    @exclusivity(unchecked) var live: [Unmanaged<RunBuffer>] = unsafe []
    private(set) var writtenStackBytes = 0
    private(set) var writtenProfileBytes = 0
    /// Set when one buffer, or all of them together, are full.
    @exclusivity(unchecked) var needsFlush = false
    let bytesMax: Int
    let runBytesMax: Int

    init(budget: FileBudget) {
        bytesMax = budget.runBufferBytesMax
        runBytesMax = budget.runFlushBytes
    }

    /// Adds the bytes by which a run of the open window has grown.
    func wrote(_ bytes: Int, _ kind: OutputKind) {
        writtenBytes += bytes
        if kind == .stacks { writtenStackBytes += bytes }
        if kind == .profile { writtenProfileBytes += bytes }
    }

    /// Resets the totals for the next window.
    func windowClosed() {
        unsafe live.removeAll(keepingCapacity: live.count <= 64)
        writtenBytes = 0
        writtenStackBytes = 0
        writtenProfileBytes = 0
    }
}

/// One sorted run on disk, with its open file if there is one.
final class RunFile {
    /// Owns the file descriptor while the run is among the open ones.
    final class Handle {
        let file: File
        init(_ path: String) throws(SystemError) { file = try File(path, .readWrite) }
    }

    /// Relative to the data directory.
    let path: String
    /// Consecutive number. A worker never reuses one.
    let serial: UInt64
    /// The log position from which the worker has owned its slots. Orders runs of several workers that may contain rows
    /// of the same process: the lower one comes first.
    let order: LSN

    var length = 0
    /// CRC-32C of the written bytes. For a trace, without the header and without the separator after the last row, both
    /// of which the close rewrites. Nil if the run was started by a version without checksums.
    var checksum: UInt32?
    /// Whether the file was found shorter than the checkpoint says. Nothing more is written to it.
    var isDamaged = false
    var rows: UInt64 = 0
    var firstTs: EpochNanoseconds = 0
    var last = RunPosition.beginning
    /// The names for the end of the file, if this run is the last of its epoch.
    var names = NameTable()

    var handle: Handle?
    var lastUse: UInt64 = 0
    /// Whether there were writes since the last sync.
    var isDirty = false

    init(path: String, serial: UInt64, order: LSN) {
        self.path = path
        self.serial = serial
        self.order = order
    }
}

extension RunFile {
    /// Appends the run to a checkpoint. `host` is the number of the last row's host in the checkpoint.
    func encode(into state: inout RawBuffer, host: UInt32) {
        state.append(counted: path)
        state.append(integer: serial)
        state.append(integer: order)
        state.append(integer: UInt64(length))
        state.append(integer: rows)
        state.append(integer: firstTs)
        state.append(integer: last.ts)
        state.append(integer: last.pid)
        state.append(integer: host)
        names.encode(into: &state)
        state.append(integer: ClosedRun.encoded(checksum))
    }

    /// Reads a run of a checkpoint. `isNarrow`: the checkpoint is of a version with 16-bit host numbers. `isSummed`: it
    /// is of a version with checksums.
    convenience init(
        decoding state: inout StateReader,
        isNarrow: Bool,
        isSummed: Bool
    ) throws(TraceError) {
        self.init(
            path: try state.text(),
            serial: try state.integer(UInt64.self),
            order: try state.integer(UInt64.self)
        )
        // Bounded by what a disk can hold, because the state may be damaged.
        length = min(Int(clamping: try state.integer(UInt64.self)), 1 << 48)
        rows = try state.integer(UInt64.self)
        firstTs = try state.integer(Int64.self)
        last = RunPosition(
            ts: try state.integer(Int64.self),
            pid: try state.integer(UInt32.self),
            host: isNarrow ? UInt32(try state.integer(UInt16.self)) : try state.integer(UInt32.self)
        )
        names = try NameTable(decoding: &state)
        if isSummed { checksum = ClosedRun.checksum(of: try state.integer(UInt64.self)) }
    }
}
