/// Everything that can be lost, cut, replaced or go wrong, as the label `kind` of
/// `trace_errors_total`. One table, so that no loss goes without a number.
package enum LossKind: String, CaseIterable, Sendable {
    // MARK: What an event lost on its way
    /// Text fields of events, each once however often it is written; of a call stack each frame.
    case nameCut = "name_cut"
    /// Counted as `nameCut`.
    case invalidUTF8Replaced = "invalid_utf8_replaced"
    case timestampInvalid = "timestamp_invalid"
    case stackFramesCut = "stack_frames_cut"
    /// Agents' findings that stand in their event's row only, as an event brought many with hardly any text.
    case anomaliesCut = "anomalies_cut"
    case recordDeadLettered = "record_dead_lettered"

    // MARK: State given up to stay within bounds
    case processEvicted = "process_evicted"
    /// Hosts whose processes gave way as too many hosts were heard of; the processes are counted too.
    case hostEvicted = "host_evicted"
    case functionEvicted = "function_evicted"
    case threadEvicted = "thread_evicted"
    case openCallEvicted = "open_call_evicted"
    /// Open calls that a window's trace does not repeat at its beginning, counted in each such window.
    case openCallNotRepeated = "open_call_not_repeated"
    case allocationEvicted = "allocation_evicted"
    case connectionEvicted = "connection_evicted"
    /// Of all kinds, as a worker's slots took too much together.
    case stateOverflow = "state_overflow"
    /// Events and call stacks of hosts that share a file, as the window has none left for them.
    case hostOverflow = "host_overflow"

    // MARK: Metrics
    /// Series beyond the limit of their metric: in the sum `other`, or, as gauges have none, not shown. Gauges are
    /// counted each time a worker names them.
    case seriesOverflow = "series_overflow"
    /// Series that are in no sum either, as there was no room for what they count.
    case seriesDropped = "series_dropped"
    case seriesExpired = "series_expired"
    case sampleRefused = "sample_refused"
    case labelCut = "label_cut"

    // MARK: Between processes
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

    package enum Severity: Sendable {
        /// Bounds and bad input at work: data is as whole as it can be.
        case notice
        /// Something of what was sent is missing or changed in the output.
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
