import Glibc
import IngestLog
import Logging
import SystemIO
import TraceModel

/// Owns the ingest log for the commit thread: writes groups, notes the log's end in a file beside it, and detects its
/// loss: files that were removed, moved or truncated by somebody else, or a disk in an unknown state. Every call
/// blocks.
struct CommitLog: ~Copyable {
    private var writer: LogWriter
    /// File in which the log's end is noted; nil if it could not be opened.
    private var endFile: LogEndFile?
    /// Windows and slots as noted in that file.
    private var endState = RawBuffer()
    /// Time of the last check of the log's files; monotonic nanoseconds.
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

    /// From the oldest readable LSN to the position of the next group.
    var range: Range<LSN> { writer.begin..<writer.end }

    /// Writes and syncs a group, and returns the log's end before and after it. `counts` contains the totals as of each
    /// of its records; `copy` takes what is written before it is synced; `head` fills the head of a file that begins with
    /// the group.
    /// - Throws: `SystemError`. If the disk is full, the log is unchanged; after any other error its state is unknown.
    mutating func write(
        _ group: CommitGroup,
        counts: [LogCounts],
        copy: LogWriter.Copy = { _, _ in false },
        head: (inout RawBuffer) -> Void
    ) throws(SystemError) -> Range<LSN> {
        let begin = writer.end
        if let ahead = group.takeAhead() {
            try unsafe writer.commit(
                &group.log,
                ahead: ahead,
                countsAt: { counts[$0] },
                copy: copy,
                head: head
            )
        } else {
            try unsafe writer.commit(&group.log, countsAt: { counts[$0] }, copy: copy, head: head)
        }
        return begin..<writer.end
    }

    /// Notes the log's end beside the log; call it after each write, before any call is answered. `state` is passed if
    /// it has changed.
    mutating func noteEnd(_ totals: LogCounts, _ state: RouterState?) {
        if let state {
            endState.removeAll()
            state.encodeEnd(into: &endState)
        }
        do throws(SystemError) {
            try unsafe endFile?.note(writer.end, totals, state: endState.bytes)
        } catch {
            endFile = nil
            logger.warning(
                "How far the log goes can't be noted beside it any more",
                metadata: ["error": "\(error)"]
            )
        }
    }

    /// Removes or recycles files without records at or above `lsn`. Returns false if there is nothing to trim, or
    /// damaged segments are being rebuilt, which needs old parts of the log.
    mutating func trim(below lsn: LSN) throws(SystemError) -> Bool {
        guard lsn > trimmedBelow, (try? FileSystem.list(ClusterPaths.rebuilds))?.isEmpty ?? true
        else { return false }
        trimmedBelow = lsn
        try writer.trim(below: lsn)
        return true
    }

    /// Stops the background work; the last call.
    mutating func close() { writer.close() }

    // MARK: A lost log

    /// Checks once a second that the log's files are still in place, and ends the process if one is not.
    mutating func check(now: Int64) {
        guard now - lastCheck >= Self.second else { return }
        lastCheck = now
        do throws(SystemError) { try writer.check() } catch { endProcess(after: error) }
    }

    /// Ends the process because the disk's state is unknown: nothing may be acknowledged any more, and only a restart,
    /// which reads the log, can tell what it contains.
    mutating func endProcess(after error: SystemError) -> Never {
        if error.errno == ESTALE { restore(error) }
        logger.critical(
            "The ingest log can no longer be trusted; ending so that the next start recovers it",
            metadata: ["error": "\(error)"]
        )
        exit(1)
    }

    /// Handles a file of the log that was removed, moved or truncated while this process wrote to it: rewrites the
    /// newest one from the open descriptor if that is possible, and logs the outcome.
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
