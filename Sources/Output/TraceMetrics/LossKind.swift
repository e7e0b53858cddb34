/// Everything that can be lost, cut, replaced or go wrong, unless a metric of its own counts it: the label `kind` of
/// `trace_errors_total`. All kinds are in this one table, and each of them is counted somewhere.
package enum LossKind: String, CaseIterable, Sendable {
    // MARK: Losses within an event
    /// Text fields of events, counted once however often the text is written; of a call stack, each frame counts.
    case nameCut = "name_cut"
    /// Text fields that were no UTF-8: the bad bytes were replaced. Counted as `name_cut`.
    case invalidUTF8Replaced = "invalid_utf8_replaced"
    /// Call stacks from which frames were cut.
    case stackFramesCut = "stack_frames_cut"
    /// Anomalies found by agents that appear only in their event's row, because one event brought many of them with
    /// hardly any text.
    case anomaliesCut = "anomalies_cut"

    // MARK: State given up to stay within bounds
    /// Processes whose state was given up.
    case processEvicted = "process_evicted"
    /// Hosts whose processes were evicted because too many hosts were active. The processes are counted as well.
    case hostEvicted = "host_evicted"
    /// Functions whose state was given up.
    case functionEvicted = "function_evicted"
    /// Threads whose state was given up.
    case threadEvicted = "thread_evicted"
    /// Open calls that were given up: their exits have no partner.
    case openCallEvicted = "open_call_evicted"
    /// Open calls that a window's trace does not repeat at its beginning, counted in each such window.
    case openCallNotRepeated = "open_call_not_repeated"
    /// Calls whose paths were cut in a window's call tree, because it had too many paths or they were too deep: they
    /// count under `(other)`.
    case callPathCut = "call_path_cut"
    /// Outstanding allocations that were given up.
    case allocationEvicted = "allocation_evicted"
    /// Network connections that were given up.
    case connectionEvicted = "connection_evicted"
    /// State of any kind that was evicted because a worker's slots used too much memory together.
    case stateOverflow = "state_overflow"
    /// Events and call stacks of hosts that share a file, because the window has no file left for them.
    case hostOverflow = "host_overflow"

    // MARK: Metrics
    /// Series beyond the limit of their metric. They count in the series `other`, except gauges, which are not shown; a
    /// gauge is counted each time that a worker defines it.
    case seriesOverflow = "series_overflow"
    /// Series that are in no sum either, because there was no room for their values.
    case seriesDropped = "series_dropped"
    /// Series of processes that were quiet for too long.
    case seriesExpired = "series_expired"
    /// Samples of processes of the cluster that did not fit their metric.
    case sampleRefused = "sample_refused"
    /// Names that were longer than a label may be: their labels have the beginning and a hash. A name is counted each
    /// time that a worker defines series with it.
    case labelCut = "label_cut"

    // MARK: Between processes
    /// Messages between processes that could not be read.
    case fabricMessageRefused = "fabric_message_refused"
    /// Starts of a worker after its first.
    case workerRestart = "worker_restart"
    /// Silences of a process: no sign of life for so long that it is shown as down.
    case workerHung = "worker_hung"

    // MARK: Storage
    /// Damaged or missing ranges of the ingest log; `trace_dead_lettered_events_total` counts their events.
    case logDamaged = "log_damaged"
    /// Starts of the router that found a torn end of the ingest log; nothing in it had been acknowledged.
    case logTailCut = "log_tail_cut"
    /// Checkpoints of which a copy was damaged.
    case checkpointDamaged = "checkpoint_damaged"
    /// Writes that found no space.
    case diskFull = "disk_full"
    /// Segments that were damaged: their windows lack their rows.
    case segmentDamaged = "segment_damaged"
    /// Merges that could not be completed; they are tried again.
    case mergeFailed = "merge_failed"
    /// Files of the aggregator that were damaged in both copies.
    case aggregatorStateDamaged = "aggregator_state_damaged"
    /// Anomaly rules that were refused; those before stay in force.
    case configurationRefused = "configuration_refused"

    /// How serious a kind of loss is.
    package enum Severity: Sendable {
        /// A bound or a check took effect; the data is as complete as it can be.
        case notice
        /// Part of what was sent is missing or changed in the output.
        case loss
        /// A component failed.
        case failure
    }

    package var severity: Severity {
        switch self {
        case .seriesExpired, .seriesOverflow, .labelCut, .logTailCut: .notice
        case .nameCut, .invalidUTF8Replaced, .stackFramesCut, .anomaliesCut,
            .processEvicted, .hostEvicted, .functionEvicted, .threadEvicted, .openCallEvicted,
            .openCallNotRepeated, .callPathCut,
            .allocationEvicted, .connectionEvicted, .stateOverflow, .hostOverflow, .sampleRefused,
            .seriesDropped:
            .loss
        case .fabricMessageRefused, .workerRestart, .workerHung, .logDamaged, .checkpointDamaged,
            .diskFull,
            .segmentDamaged, .mergeFailed, .aggregatorStateDamaged, .configurationRefused:
            .failure
        }
    }
}
