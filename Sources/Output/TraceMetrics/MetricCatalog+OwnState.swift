extension MetricCatalog {
    /// Metrics about this server itself.
    static let ownState: [MetricDescriptor] = accounting + router + workers + outputs + http

    private static let accounting: [MetricDescriptor] = [
        MetricDescriptor(
            .buildInfo,
            "trace_build_info",
            .gauge,
            "Constant 1; the version is in the label.",
            labels: ["version"]
        ),
        MetricDescriptor(
            .errorsTotal,
            "trace_errors_total",
            .counter,
            "Everything lost, cut, replaced or failed, by kind.",
            labels: ["kind"]
        ),
        MetricDescriptor(
            .receivedEventsTotal,
            "trace_received_events_total",
            .counter,
            "Events that arrived: written, deduplicated, dead-lettered and rejected together."
        ),
        MetricDescriptor(
            .writtenEventsTotal,
            "trace_written_events_total",
            .counter,
            "Events that the workers have written."
        ),
        MetricDescriptor(
            .deduplicatedEventsTotal,
            "trace_deduplicated_events_total",
            .counter,
            "Events of batches that were sent again."
        ),
        MetricDescriptor(
            .deadLetteredEventsTotal,
            "trace_dead_lettered_events_total",
            .counter,
            "Events set aside because they crashed their worker or were skipped by command."
        ),
        MetricDescriptor(
            .rejectedEventsTotal,
            "trace_rejected_events_total",
            .counter,
            "Events of refused calls, where they could be counted."
        ),
        MetricDescriptor(
            .metricSeries,
            "trace_metric_series",
            .gauge,
            "Series exposed by family.",
            labels: ["metric"]
        ),
    ]

    private static let router: [MetricDescriptor] = [
        MetricDescriptor(
            .grpcConnectionsClosedTotal,
            "trace_grpc_connections_closed_total",
            .counter,
            "Connections of agents that the router closed, or asked to leave, by reason.",
            labels: ["reason"]
        ),
        MetricDescriptor(.routerUp, "trace_router_up", .gauge, "1 while the router is heard from."),
        MetricDescriptor(
            .routerAccepting,
            "trace_router_accepting",
            .gauge,
            "1 while the router accepts batches."
        ),
        MetricDescriptor(
            .routerHeadLSN,
            "trace_router_log_head_lsn",
            .gauge,
            "End of the ingest log: the position of the next record."
        ),
        MetricDescriptor(
            .routerLogBytes,
            "trace_router_log_bytes",
            .gauge,
            "Bytes of ingest log kept on disk.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .routerLogBudgetBytes,
            "trace_router_log_budget_bytes",
            .gauge,
            "Bytes of ingest log at which batches are refused.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .routerQueueBytes,
            "trace_router_queue_bytes",
            .gauge,
            "Bytes of calls that wait for their commit.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .routerFsyncSeconds,
            "trace_router_fsync_seconds",
            .histogram,
            "Duration of one fdatasync of the log.",
            unit: "seconds",
            bounds: MetricBounds.latencySeconds
        ),
        MetricDescriptor(
            .routerAckSeconds,
            "trace_router_ack_seconds",
            .histogram,
            "Time from a call's arrival to its answer.",
            unit: "seconds",
            bounds: MetricBounds.latencySeconds
        ),
        MetricDescriptor(
            .routerSlotMoveSeconds,
            "trace_router_slot_move_seconds",
            .histogram,
            "Time for which a slot is not processed while it moves to another worker.",
            unit: "seconds",
            bounds: MetricBounds.latencySeconds
        ),
        MetricDescriptor(
            .routerDiskFreeBytes,
            "trace_router_disk_free_bytes",
            .gauge,
            "Free bytes on the log's file system.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .routerWindow,
            "trace_router_window",
            .gauge,
            "Number of the window being filled."
        ),
    ]

    private static let workers: [MetricDescriptor] = [
        MetricDescriptor(
            .processRecentEnds,
            "trace_process_recent_ends",
            .gauge,
            "Unrequested ends of a process within the last minute.",
            labels: ["process"]
        ),
        MetricDescriptor(
            .workerUp,
            "trace_worker_up",
            .gauge,
            "1 while the worker is heard from.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerLost,
            "trace_worker_lost",
            .gauge,
            "1 while the worker's saved state is not usable, so that a restart does not help.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerLagBytes,
            "trace_worker_lag_bytes",
            .gauge,
            "Bytes of log between the worker and the head.",
            labels: ["worker"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .workerAppliedLSN,
            "trace_worker_applied_lsn",
            .gauge,
            "Log position that the worker has applied.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerCheckpointLSN,
            "trace_worker_checkpoint_lsn",
            .gauge,
            "Log position of the worker's last checkpoint.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerRestartsTotal,
            "trace_worker_restarts_total",
            .counter,
            "Starts of a worker after its first.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerAppliedEventsTotal,
            "trace_worker_applied_events_total",
            .counter,
            "Events that the worker has applied, including those repeated after a restart.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerBusySecondsTotal,
            "trace_worker_busy_seconds_total",
            .counter,
            "Time that the worker spent on events; its rate is 1 where it does nothing else.",
            labels: ["worker"],
            unit: "seconds"
        ),
        MetricDescriptor(
            .workerCheckpointsTotal,
            "trace_worker_checkpoints_total",
            .counter,
            "Checkpoints that the worker has written.",
            labels: ["worker"]
        ),
        MetricDescriptor(
            .workerCheckpointSecondsTotal,
            "trace_worker_checkpoint_seconds_total",
            .counter,
            "Time that the worker spent on checkpoints; its rate is a tenth at most.",
            labels: ["worker"],
            unit: "seconds"
        ),
        MetricDescriptor(
            .workerCheckpointBytesTotal,
            "trace_worker_checkpoint_bytes_total",
            .counter,
            "Bytes of checkpoints written, both copies.",
            labels: ["worker"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .workerSkewRatio,
            "trace_worker_skew_ratio",
            .gauge,
            "Events that the worker applied in the last minute over the mean of its resource's workers.",
            labels: ["worker"]
        ),
    ]

    private static let outputs: [MetricDescriptor] = [
        MetricDescriptor(
            .mergesTotal,
            "trace_merges_total",
            .counter,
            "Windows merged into final files.",
            labels: ["resource"]
        ),
        MetricDescriptor(
            .lostRowsTotal,
            "trace_lost_rows_total",
            .counter,
            "Rows of segments that were damaged or gone when their window was merged: no final file has them.",
            labels: ["resource"]
        ),
        MetricDescriptor(
            .rebuiltRowsTotal,
            "trace_rebuilt_rows_total",
            .counter,
            "Rows of outputs with damaged segments that were made again from the log: nothing of them is lost.",
            labels: ["resource"]
        ),
        MetricDescriptor(
            .mergeBytesTotal,
            "trace_merge_bytes_total",
            .counter,
            "Bytes of final files written.",
            labels: ["resource"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .mergeSegmentBytesTotal,
            "trace_merge_segment_bytes_total",
            .counter,
            "Bytes of segments merged; over the sum of trace_merge_seconds it is the throughput.",
            labels: ["resource"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .mergeWaitingWindows,
            "trace_merge_waiting_windows",
            .gauge,
            "Windows that a worker has closed and that are neither merged nor being merged.",
            labels: ["resource"]
        ),
        MetricDescriptor(
            .mergeCurrentBytes,
            "trace_merge_current_bytes",
            .gauge,
            "Bytes of segments of the merge under way; 0 where there is none.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .mergeCurrentMergedBytes,
            "trace_merge_current_merged_bytes",
            .gauge,
            "Of these, bytes merged so far.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .mergeSeconds,
            "trace_merge_seconds",
            .histogram,
            "Duration of merging one window.",
            labels: ["resource"],
            unit: "seconds",
            bounds: MetricBounds.mergeSeconds
        ),
        MetricDescriptor(
            .finalFilesTotal,
            "trace_final_files_total",
            .counter,
            "Final files published.",
            labels: ["resource"]
        ),
        MetricDescriptor(
            .retentionWindows,
            "trace_retention_windows",
            .gauge,
            "Windows of final files under retention; 0 where all are kept for ever."
        ),
        MetricDescriptor(
            .retentionBytes,
            "trace_retention_bytes",
            .gauge,
            "Bytes of final files under retention.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .retentionFilesDeletedTotal,
            "trace_retention_files_deleted_total",
            .counter,
            "Final files deleted by age, total size, or for want of disk space."
        ),
        MetricDescriptor(
            .retentionBytesDeletedTotal,
            "trace_retention_deleted_bytes_total",
            .counter,
            "Bytes of the final files deleted.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .objectStoreUploadedFilesTotal,
            "trace_object_store_uploaded_files_total",
            .counter,
            "Final files uploaded to the object store."
        ),
        MetricDescriptor(
            .objectStoreUploadedBytesTotal,
            "trace_object_store_uploaded_bytes_total",
            .counter,
            "Bytes of the final files uploaded to the object store.",
            unit: "bytes"
        ),
        MetricDescriptor(
            .objectStoreFailuresTotal,
            "trace_object_store_failures_total",
            .counter,
            "Attempts to upload a window that failed; each is repeated."
        ),
        MetricDescriptor(
            .objectStoreWaitingWindows,
            "trace_object_store_waiting_windows",
            .gauge,
            "Windows whose final files are on this machine only, as they are not uploaded yet."
        ),
        MetricDescriptor(
            .objectStoreOldestWaitingSeconds,
            "trace_object_store_oldest_waiting_seconds",
            .gauge,
            "Time since the oldest window became final that is not uploaded yet; 0 if none waits.",
            unit: "seconds"
        ),
    ]

    private static let http: [MetricDescriptor] = [
        MetricDescriptor(
            .httpConnectionsClosedTotal,
            "trace_http_connections_closed_total",
            .counter,
            "Connections to these pages that the server refused or closed, by reason.",
            labels: ["reason"]
        ),
        MetricDescriptor(
            .httpAcceptErrorsTotal,
            "trace_http_accept_errors_total",
            .counter,
            "Connections to these pages that could not be accepted at once, for want of descriptors or memory."
        ),
    ]
}
