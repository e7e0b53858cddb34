import TraceModel

/// Decides whether batches may be taken: not while the log has grown to its budget, and not while the disk has
/// too little left for the files that the windows are merged into. A pure state machine over what is logged.
struct AdmissionGate {
    /// Why no batch is taken. Raw values are labels of `trace_batches_refused_total`.
    enum Obstacle: String, Sendable {
        case logBudget = "log_budget"
        case diskSpace = "disk_space"
    }

    let logBudgetBytes: Int
    /// Bytes of events in the open window and in the one before, which may be being merged.
    private var openBytes = 0
    private var closedBytes = 0
    private var isAboveHalf = false

    init(logBudgetBytes: Int) { self.logBudgetBytes = logBudgetBytes }

    /// So many bytes of events went into the log.
    mutating func logged(bytes: Int) { openBytes += bytes }

    /// A barrier ended the window.
    mutating func windowClosed() {
        closedBytes = openBytes
        openBytes = 0
    }

    /// Free bytes without which nothing is taken: what two windows are merged into, and the checkpoints.
    var freeBytesMin: Int {
        (openBytes + closedBytes) * Limits.outputBytesPerWireByteMax
            + Limits.checkpointReserveBytes
    }

    /// What stands in the way of batches; nil: nothing.
    func obstacle(logBytes: Int, freeBytes: Int) -> Obstacle? {
        if logBytes >= logBudgetBytes { return .logBudget }
        return freeBytes < freeBytesMin ? .diskSpace : nil
    }

    /// True once each time the log grows past half of its budget.
    mutating func passesHalf(logBytes: Int) -> Bool {
        defer { isAboveHalf = logBytes >= logBudgetBytes / 2 }
        return !isAboveHalf && logBytes >= logBudgetBytes / 2
    }

    /// What a refused sender is told. `slowest`: whose checkpoint keeps the log, which ends at `end`.
    func refusal(
        for obstacle: Obstacle,
        slowest: (worker: WorkerName, lsn: LSN)?,
        end: LSN,
        freeBytes: Int
    ) -> TraceError {
        switch obstacle {
        case .logBudget:
            let worker = slowest.map { "\($0.worker)" } ?? "WORKER"
            let place = slowest.map { ", as \($0.worker) has not come past LSN \($0.lsn)" } ?? ""
            return TraceError(
                .exhausted,
                "The ingest log has reached its budget of \(logBudgetBytes) bytes\(place)",
                remedy: "`tracectl skip \(worker) --to \(end)` sets aside what the worker lacks"
            )
        case .diskSpace:
            return TraceError(
                .exhausted,
                "The server's disk has \(freeBytes) bytes free and needs \(freeBytesMin) to finish"
                    + " what it holds",
                remedy: "Batches are taken again once there is room"
            )
        }
    }
}
