/// Everything that can be lost, cut, replaced or go wrong: the label `kind` of `trace_errors_total`. All kinds are in
/// this one table, so that every loss is counted.
package enum LossKind: String, CaseIterable, Sendable {
    // MARK: Losses within an event
    /// Text fields of events, counted once however often the text is written; of a call stack, each frame counts.
    case nameCut = "name_cut"
    /// Text fields, counted in the same way as `nameCut`.
    case invalidUTF8Replaced = "invalid_utf8_replaced"
    case timestampInvalid = "timestamp_invalid"
    case stackFramesCut = "stack_frames_cut"
    /// Anomalies found by agents that appear only in their event's row, because one event brought many of them with
    /// hardly any text.
    case anomaliesCut = "anomalies_cut"
    case recordDeadLettered = "record_dead_lettered"

    // MARK: State evicted to stay within bounds
    case processEvicted = "process_evicted"
    /// Hosts whose processes were evicted because too many hosts were active. The processes are counted as well.
    case hostEvicted = "host_evicted"
    case functionEvicted = "function_evicted"
    case threadEvicted = "thread_evicted"
    case openCallEvicted = "open_call_evicted"
    /// Open calls that a window's trace does not repeat at its beginning, counted in each such window.
    case openCallNotRepeated = "open_call_not_repeated"
    case allocationEvicted = "allocation_evicted"
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
    case seriesExpired = "series_expired"
    case sampleRefused = "sample_refused"
    case labelCut = "label_cut"

    // MARK: Communication between processes
    case staleEpochDropped = "stale_epoch_dropped"
    case fabricMessageRefused = "fabric_message_refused"
    case workerRestart = "worker_restart"
    case workerHung = "worker_hung"

    // MARK: Storage
    case logDamaged = "log_damaged"
    case logTailCut = "log_tail_cut"
    case checkpointDamaged = "checkpoint_damaged"
    case diskFull = "disk_full"
    case segmentDamaged = "segment_damaged"
    case mergeFailed = "merge_failed"
    case aggregatorStateDamaged = "aggregator_state_damaged"
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
        case .seriesExpired, .seriesOverflow, .labelCut, .staleEpochDropped, .logTailCut: .notice
        case .nameCut, .invalidUTF8Replaced, .timestampInvalid, .stackFramesCut, .anomaliesCut, .recordDeadLettered,
            .processEvicted, .hostEvicted, .functionEvicted, .threadEvicted, .openCallEvicted, .openCallNotRepeated,
            .allocationEvicted, .connectionEvicted, .stateOverflow, .hostOverflow, .sampleRefused, .seriesDropped:
            .loss
        case .fabricMessageRefused, .workerRestart, .workerHung, .logDamaged, .checkpointDamaged, .diskFull,
            .segmentDamaged, .mergeFailed, .aggregatorStateDamaged, .configurationRefused:
            .failure
        }
    }
}
