import TraceModel

/// Decides whether batches may be taken: not while the log has grown to its budget, and not while the disk has
/// too little left for what has been taken already. A pure state machine over what is logged and what workers report.
///
/// # What the disk has to have room for
/// - *Rows to come*: the events that workers have not applied yet become at most `PendingOutput` of segments. This is
///   the worst that any bytes can become, but few events are under way as a rule.
/// - *One merge*: final files are written before the segments they are made of go, one window of one resource at a time.
///   How large they can become is what the workers report, which know what they have written; and what is usual of
///   the open window's bytes where that is more, as right after a start. What is still to come belongs to it as well, as
///   far as a window goes.
/// - *The log's next file*, and the checkpoints.
struct AdmissionGate {
    /// Why no batch is taken. Raw values are labels of `trace_batches_refused_total`.
    enum Obstacle: String, Sendable {
        case logBudget = "log_budget"
        case diskSpace = "disk_space"
    }

    let logBudgetBytes: Int
    /// Bytes of events in the open window, as they came.
    private var openBytes: InlineArray<6, Int>
    private var pending: PendingOutput
    private var reports = OutputReports()
    private var isAboveHalf = false

    /// `window`, `pending`: what the log held when the router started.
    init(
        logBudgetBytes: Int,
        window: OpenWindow = OpenWindow(),
        pending: PendingOutput = PendingOutput()
    ) {
        self.logBudgetBytes = logBudgetBytes
        self.pending = pending
        openBytes = window.wireBytes
    }

    /// Events went into the log, which ends at `end` now.
    mutating func logged(_ group: BatchSizes, end: LSN) {
        for index in openBytes.indices { openBytes[index] += group.wireBytes[index] }
        pending.logged(group.outputBytesMax, end: end)
    }

    /// A barrier ended the window.
    mutating func windowClosed() { openBytes = InlineArray(repeating: 0) }

    /// What the workers said last.
    mutating func reported(_ reports: OutputReports) { self.reports = reports }

    /// The log begins at `lsn` now.
    mutating func trim(below lsn: LSN) { pending.trim(below: lsn) }

    /// Free bytes without which batches of these sizes are not taken.
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
            // The window that they begin repeats open calls.
            if resource == .function, toCome > 0 { rows += Limits.repeatedBytesMin }
            let window = min(written + toCome, Limits.windowMergeBytesMax)
            merge = max(merge, written, window)
        }
        return rows + merge + Limits.logFileBytes + Limits.checkpointReserveBytes
    }

    /// What the events become at most that are not applied yet.
    private var rowsToCome: Int {
        Resource.allCases.reduce(0) {
            $0 + pending.bytes(of: $1, from: reports.appliedLSN[Int($1.rawValue)])
        }
    }

    /// What stands in the way of batches of these sizes; nil: nothing.
    func obstacle(
        logBytes: Int,
        freeBytes: Int,
        adding group: BatchSizes = BatchSizes()
    ) -> Obstacle? {
        if logBytes >= logBudgetBytes { return .logBudget }
        return freeBytes < freeBytesMin(adding: group) ? .diskSpace : nil
    }

    /// True once each time the log grows past half of its budget.
    mutating func passesHalf(logBytes: Int) -> Bool {
        defer { isAboveHalf = logBytes >= logBudgetBytes / 2 }
        return !isAboveHalf && logBytes >= logBudgetBytes / 2
    }

    /// What a refused sender is told. `slowest`: whose checkpoint keeps the log, which ends at `end`; `volume`: where the
    /// least room is.
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
        case .diskSpace:
            return TraceError(
                .exhausted,
                "The server's \(volume.name) has \(volume.bytes) bytes free and needs \(freeBytesMin()) to finish"
                    + " what it holds" + (rowsToCome > 0 ? place : ""),
                remedy: "Batches are taken again once there is room"
            )
        }
    }
}
