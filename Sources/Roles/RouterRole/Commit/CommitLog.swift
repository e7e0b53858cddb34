import Glibc
import IngestLog
import Logging
import SystemIO
import TraceModel

/// The ingest log in the hands of the commit thread: writes groups, notes beside the log how far it goes, and finds out where it was
/// lost: its files removed, moved away or cut by somebody else, or a disk whose state is unknown. Every call blocks.
struct CommitLog: ~Copyable {
    private var writer: LogWriter
    /// Where the log's end is noted; nil where that can't be.
    private var endFile: LogEndFile?
    /// What is noted there of windows and slots.
    private var endState = RawBuffer()
    /// When the files were last looked for (monotonic ns).
    private var lastCheck: Int64 = 0
    private var trimmedBelow: LSN = 0
    private let logger: Logger

    private static let second: Int64 = 1_000_000_000

    init(
        _ writer: consuming LogWriter,
        endFile: consuming LogEndFile? = nil,
        state: RouterState,
        logger: Logger
    ) {
        let counts = writer.counts
        self.writer = writer
        self.endFile = endFile
        self.logger = logger
        noteEnd(counts, state)
    }

    /// From the oldest LSN that can be read to where the next group goes.
    var range: Range<LSN> { writer.begin..<writer.end }

    /// Writes and syncs a group, and returns the log's end before and after it. `counts`: the totals once each of its records is in
    /// the log; `head`: fills the head of a file that begins with the group.
    /// - Throws: `SystemError`; the log is as it was where the disk is full, and unknown after any other error.
    mutating func write(
        _ group: CommitGroup,
        counts: [LogCounts],
        head: (inout RawBuffer) -> Void
    ) throws(SystemError) -> Range<LSN> {
        let begin = writer.end
        if let ahead = group.takeAhead() {
            try writer.commit(&group.log, ahead: ahead, countsAt: { counts[$0] }, head: head)
        } else {
            try writer.commit(&group.log, countsAt: { counts[$0] }, head: head)
        }
        return begin..<writer.end
    }

    /// Notes beside the log how far it goes: behind each write, before anybody is answered. `state`: where it has changed.
    mutating func noteEnd(_ totals: LogCounts, _ state: RouterState?) {
        if let state {
            endState.removeAll()
            state.encodeEnd(into: &endState)
        }
        do throws(SystemError) {
            try endFile?.note(writer.end, totals, state: endState.bytes)
        } catch {
            endFile = nil
            logger.warning(
                "How far the log goes can't be noted beside it any more",
                metadata: ["error": "\(error)"]
            )
        }
    }

    /// Removes or recycles files that hold nothing at or above `lsn`. False where there is nothing new to do, or damaged
    /// segments are being rebuilt, which takes the log from far back.
    mutating func trim(below lsn: LSN) throws(SystemError) -> Bool {
        guard lsn > trimmedBelow, (try? FileSystem.list(ClusterPaths.rebuilds))?.isEmpty ?? true
        else { return false }
        trimmedBelow = lsn
        try writer.trim(below: lsn)
        return true
    }

    /// Ends the background work; the last call.
    mutating func close() { writer.close() }

    // MARK: A lost log

    /// Looks once a second whether the log's files are where they were made, and ends the process where one is not.
    mutating func check(now: Int64) {
        guard now - lastCheck >= Self.second else { return }
        lastCheck = now
        do throws(SystemError) { try writer.check() } catch { endProcess(after: error) }
    }

    /// What the disk holds is unknown: nothing may be acked any more, and only a new start, which reads the log, can tell.
    mutating func endProcess(after error: SystemError) -> Never {
        if error.errno == ESTALE { restore(error) }
        logger.critical(
            "The ingest log can no longer be trusted; ending so that the next start recovers it",
            metadata: ["error": "\(error)"]
        )
        exit(1)
    }

    /// A file of the log was removed, moved away or cut while this process wrote to it: what is still open is put back.
    private mutating func restore(_ error: SystemError) {
        let outcome: Logger.Message
        do throws(SystemError) {
            outcome =
                try writer.restoreFile()
                ? "The ingest log's newest file was removed or moved away, and is written anew from what was open"
                : "A file of the ingest log was removed, moved away or cut"
        } catch { outcome = "The ingest log's newest file was removed, and can't be written anew" }
        logger.critical(
            outcome,
            metadata: ["file": "\(error.subject)", "end_lsn": "\(writer.end)"]
        )
    }
}
