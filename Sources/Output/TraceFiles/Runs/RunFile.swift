import SystemIO
import TraceModel

/// The bounds of one manager or merger; the defaults are `Limits`, tests take smaller ones.
package struct FileBudget: Sendable {
    /// A run buffer is written out at this size.
    package var runFlushBytes = Limits.runFlushBytes
    /// All run buffers of one worker together.
    package var runBufferBytesMax = Limits.runBufferBytesMax
    package var runHoldbackNanoseconds = Limits.runHoldbackNanoseconds
    package var openFilesMax = Limits.openFilesMax
    /// Hosts heard of that one worker remembers.
    package var hostsMax = Limits.hostsMax
    /// Files of single hosts that one worker has in a window.
    package var hostFilesMax = Limits.hostFilesPerWindowMax
    /// Read buffer of one run in a merge, and the write buffer of its output.
    package var mergeBufferBytes = Limits.mergeBufferBytes
    /// Runs merged at once; more take several passes.
    package var mergeRunsMax = Limits.mergeRunsMax
    /// One final trace or table, before it is compressed; what is larger becomes several files.
    package var finalFileBytesMax = Limits.finalFileBytesMax

    package init() {}
}

/// How much of a run buffer a flush writes.
package enum FlushScope: Sendable {
    /// Only full buffers; young rows stay back (at most half of the buffer).
    case full
    /// Every buffer; young rows stay back unless nothing came since the tick before.
    case tick
    /// Everything: at barriers and checkpoints.
    case all
}

/// The sort key of the last row written to a run: the next one must not be smaller.
struct RunPosition {
    var ts: EpochNanoseconds
    var pid: UInt32
    var host: UInt32

    static let beginning = RunPosition(ts: .min, pid: 0, host: 0)
}

/// What all run buffers of a worker hold together, and have written of the open window.
final class RunLedger {
    @exclusivity(unchecked) var bytes = 0
    /// Bytes in the runs of the open window; of these, call stacks.
    private(set) var writtenBytes = 0
    /// The buffers of which the open window has something, in the order in which they first had. Their owner keeps them for
    /// as long.
    @exclusivity(unchecked) var live: [Unmanaged<RunBuffer>] = []
    private(set) var writtenStackBytes = 0
    /// Set where a buffer is full or all of them together are.
    @exclusivity(unchecked) var needsFlush = false
    let bytesMax: Int
    let runBytesMax: Int

    init(budget: FileBudget) {
        bytesMax = budget.runBufferBytesMax
        runBytesMax = budget.runFlushBytes
    }

    /// A run of the open window has grown by so many bytes.
    func wrote(_ bytes: Int, _ kind: OutputKind) {
        writtenBytes += bytes
        if kind == .stacks { writtenStackBytes += bytes }
    }

    /// The next window has no runs yet.
    func windowClosed() {
        live.removeAll(keepingCapacity: live.count <= 64)
        writtenBytes = 0
        writtenStackBytes = 0
    }
}

/// One sorted run on disk: what has been written, and the open file where there is one.
final class RunFile {
    /// Owns the descriptor while the run is among the open ones.
    final class Handle {
        let file: File
        init(_ path: String) throws(SystemError) { file = try File(path, .readWrite) }
    }

    /// Below the data directory.
    let path: String
    /// Number of its making, never used twice by a worker.
    let serial: UInt64
    /// Runs of several workers that may hold one process's rows are told apart by this (the log position
    /// from which the worker owned what it owns): lower ones came first.
    let order: LSN

    var length = 0
    /// CRC-32C of what has been written, of a trace without its header and the last row's separator, which the close
    /// writes anew. Nil where a version that knew no checksums began the run.
    var checksum: UInt32?
    /// Its file was found shorter than the checkpoint says: nothing more is written to it.
    var isDamaged = false
    var rows: UInt64 = 0
    var firstTs: EpochNanoseconds = 0
    var last = RunPosition.beginning
    /// Names for the end of the file, where this run is the last of its epoch.
    var names = NameTable()

    var handle: Handle?
    var lastUse: UInt64 = 0
    /// Written since the last sync.
    var isDirty = false

    init(path: String, serial: UInt64, order: LSN) {
        self.path = path
        self.serial = serial
        self.order = order
    }
}

extension RunFile {
    /// `host`: as the checkpoint numbers that of the last row.
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

    /// `isNarrow`: of a version before, whose numbers of hosts took two bytes; `isSummed`: of one that knows checksums.
    convenience init(decoding state: inout StateReader, isNarrow: Bool, isSummed: Bool) throws(TraceError) {
        self.init(path: try state.text(), serial: try state.integer(UInt64.self), order: try state.integer(UInt64.self))
        // What a damaged state says is bounded by what a disk holds.
        length = min(Int(clamping: try state.integer(UInt64.self)), 1 << 48)
        rows = try state.integer(UInt64.self)
        firstTs = try state.integer(Int64.self)
        last = RunPosition(
            ts: try state.integer(Int64.self), pid: try state.integer(UInt32.self),
            host: isNarrow ? UInt32(try state.integer(UInt16.self)) : try state.integer(UInt32.self))
        names = try NameTable(decoding: &state)
        if isSummed { checksum = ClosedRun.checksum(of: try state.integer(UInt64.self)) }
    }
}
