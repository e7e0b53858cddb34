import TraceModel

/// Decides whether batches may be taken. They are refused while the log has reached its budget, and while the disk
/// lacks space for the output of what has been taken already. A pure state machine over what is logged and what workers
/// report.
///
/// # Space that the disk must have
/// - *Pending rows*: events that workers have not applied yet become at most `PendingOutput` bytes of segments. This is
///   the worst case for any bytes, but usually few events are pending.
/// - *One merge*: final files are written before the segments that they are made from are removed, one window of one
///   resource at a time. Their size is what the workers report, as they know what they have written, or the usual
///   output of the open window's bytes if that is more, as right after a start. Pending events add to it, up to the
///   size of a window.
/// - *Rebuilds*: what segments that are made again will still take, beside the damaged ones, until they are merged.
/// - *The log's next file*, and the checkpoints.
struct AdmissionGate {
    /// The reason why no batch is taken. Raw values are labels of `trace_batches_refused_total`.
    enum Obstacle: String, Sendable {
        case logBudget = "log_budget"
        case diskSpace = "disk_space"
        /// The log's replica acknowledges nothing.
        case noQuorum = "no_quorum"
    }

    let logBudgetBytes: Int
    /// Bytes of the open window's events as received, by resource.
    private var openBytes: InlineArray<6, Int>
    private var pending: PendingOutput
    private var reports = OutputReports()
    /// Bytes that rebuilds of segments will still write.
    private var rebuildBytes = 0
    private var isAboveHalf = false

    /// `window` and `pending` describe the log's content when the router started.
    init(
        logBudgetBytes: Int,
        window: OpenWindow = OpenWindow(),
        pending: PendingOutput = PendingOutput()
    ) {
        self.logBudgetBytes = logBudgetBytes
        self.pending = pending
        openBytes = window.wireBytes
    }

    /// Notes that events were logged; the log now ends at `end`.
    mutating func logged(_ group: BatchSizes, end: LSN) {
        for index in openBytes.indices { openBytes[index] += group.wireBytes[index] }
        pending.logged(group.outputBytesMax, end: end)
    }

    /// Notes that a barrier ended the window.
    mutating func windowClosed() { openBytes = InlineArray(repeating: 0) }

    /// Sets the workers' latest reports.
    mutating func reported(_ reports: OutputReports) { self.reports = reports }

    /// Sets the bytes that rebuilds of segments will still write.
    mutating func rebuilds(_ bytes: Int) { rebuildBytes = bytes }

    /// Notes that the log now begins at `lsn`.
    mutating func trim(below lsn: LSN) { pending.trim(below: lsn) }

    /// Returns the number of free bytes required to take batches of these sizes.
    func freeBytesMin(adding group: BatchSizes = BatchSizes()) -> Int {
        var rows = 0
        var merge = 0
        for resource in Resource.allCases {
            let index = Int(resource.rawValue)
            let toCome =
                pending.bytes(of: resource, from: reports.appliedLSN[index])
                + group.outputBytesMax[index]
            let written = max(
                reports.mergeBytes[index],
                openBytes[index] * Limits.outputBytesPerWireByteMax
            )
            rows += toCome
            // The next window, which they begin, repeats open calls.
            if resource == .function, toCome > 0 { rows += Limits.repeatedBytesMin }
            let window = min(written + toCome, Limits.windowMergeBytesMax)
            merge = max(merge, written, window)
        }
        return rows + merge + rebuildBytes + Limits.logFileBytes + Limits.checkpointReserveBytes
    }

    /// Maximum output bytes of the events that are not applied yet.
    private var rowsToCome: Int {
        Resource.allCases.reduce(0) {
            $0 + pending.bytes(of: $1, from: reports.appliedLSN[Int($1.rawValue)])
        }
    }

    /// Returns the obstacle to taking batches of these sizes; nil if there is none.
    func obstacle(
        logBytes: Int,
        freeBytes: Int,
        adding group: BatchSizes = BatchSizes()
    ) -> Obstacle? {
        if logBytes >= logBudgetBytes { return .logBudget }
        return freeBytes < freeBytesMin(adding: group) ? .diskSpace : nil
    }

    /// Returns true once each time the log grows past half of its budget.
    mutating func passesHalf(logBytes: Int) -> Bool {
        defer { isAboveHalf = logBytes >= logBudgetBytes / 2 }
        return !isAboveHalf && logBytes >= logBudgetBytes / 2
    }

    /// Returns the error for a refused sender. `slowest` is the worker whose checkpoint keeps the log, `end` the log's
    /// end, `volume` the one with the least free space.
    func refusal(
        for obstacle: Obstacle,
        slowest: (worker: WorkerName, lsn: LSN)?,
        end: LSN,
        volume: FreeSpace.Volume
    ) -> TraceError {
        let place = slowest.map { ", as \($0.worker) has not come past LSN \($0.lsn)" } ?? ""
        switch obstacle {
        case .logBudget:
            let worker = slowest.map { "\($0.worker)" } ?? "WORKER"
            return TraceError(
                .exhausted,
                "The ingest log has reached its budget of \(logBudgetBytes) bytes\(place)",
                remedy: "`tracectl skip \(worker) --to \(end)` sets aside what the worker lacks"
            )
        case .noQuorum: return Self.withoutQuorum(nil)
        case .diskSpace:
            return TraceError(
                .exhausted,
                "The server's \(volume.name) has \(volume.bytes) bytes free and needs \(freeBytesMin()) to finish"
                    + " its backlog" + (rowsToCome > 0 ? place : ""),
                remedy: "Batches are taken again once there is room"
            )
        }
    }

    /// Returns the error for a sender whose batch is not on a quorum's disks. `problem` says why.
    static func withoutQuorum(_ problem: String?) -> TraceError {
        TraceError(
            .exhausted,
            "No quorum of the log's replicas acknowledges the batch"
                + (problem.map { ": \($0)" } ?? ""),
            remedy:
                "Send it again later: with client_id and sequence it counts once, even if it was stored"
        )
    }
}
