extension MetricCatalog {
    /// Metrics computed from the agents' events.
    static let traced: [MetricDescriptor] = overall + functions + cpu + memory + network + io + gpu

    private static let overall: [MetricDescriptor] = [
        MetricDescriptor(
            .eventsTotal,
            "trace_events_total",
            .counter,
            "Events written to the output, duplicates excluded.",
            labels: ["resource"]
        ),
        MetricDescriptor(
            .batchEvents,
            "trace_batch_events",
            .histogram,
            "Events of one resource in one batch.",
            labels: ["resource"],
            bounds: MetricBounds.batchEvents
        ),
        MetricDescriptor(
            .batchProcessingSeconds,
            "trace_batch_processing_seconds",
            .histogram,
            "Time a worker took for its share of a commit group.",
            labels: ["resource"],
            unit: "seconds",
            bounds: MetricBounds.latencySeconds
        ),
        MetricDescriptor(
            .activeClients,
            "trace_active_clients",
            .gauge,
            "Clients that sent a batch lately."
        ),
        MetricDescriptor(
            .lastActivityTimestampSeconds,
            "trace_last_activity_timestamp_seconds",
            .gauge,
            "When the last batch came, since the Unix epoch.",
            unit: "seconds"
        ),
        MetricDescriptor(
            .timestampsInvalidTotal,
            "trace_timestamps_invalid_total",
            .counter,
            "Events whose timestamp could not be read and was replaced by the time of arrival."
        ),
        MetricDescriptor(
            .valuesInvalidTotal,
            "trace_values_invalid_total",
            .counter,
            "Impossible values of agents, such as a wrapped difference, which are left out of sums.",
            labels: ["resource", "field"]
        ),
        MetricDescriptor(
            .batchesRefusedTotal,
            "trace_batches_refused_total",
            .counter,
            "Calls that were refused.",
            labels: ["reason"]
        ),
        MetricDescriptor(
            .hostLastBatchTimestampSeconds,
            "trace_host_last_batch_timestamp_seconds",
            .gauge,
            "When the last batch of a host came, since the Unix epoch.",
            labels: ["host"],
            unit: "seconds"
        ),
        MetricDescriptor(
            .anomaliesTotal,
            "trace_anomalies_total",
            .counter,
            "Anomalies found.",
            labels: ["host", "resource", "rule"]
        ),
    ]

    private static let functions: [MetricDescriptor] = [
        MetricDescriptor(
            .functionCallsTotal,
            "trace_function_calls_total",
            .counter,
            "Calls: entries, or the agent's own count where it sends only some events.",
            labels: processLabels + ["function"]
        ),
        MetricDescriptor(
            .functionSlowCallsTotal,
            "trace_function_slow_calls_total",
            .counter,
            "Calls slower than the configured threshold.",
            labels: processLabels + ["function"]
        ),
        MetricDescriptor(
            .functionDurationSeconds,
            "trace_function_duration_seconds",
            .histogram,
            "Duration of calls with both entry and exit.",
            labels: processLabels + ["function"],
            unit: "seconds",
            bounds: MetricBounds.functionSeconds
        ),
        MetricDescriptor(
            .functionMeanDurationSeconds,
            "trace_function_mean_duration_seconds",
            .gauge,
            "Mean duration of all calls so far; the agent's own where it sends only some events.",
            labels: processLabels + ["function"],
            unit: "seconds"
        ),
        MetricDescriptor(
            .functionUnmatchedExitsTotal,
            "trace_function_unmatched_exits_total",
            .counter,
            "Exits whose entry did not come.",
            labels: processLabels + ["function"]
        ),
        MetricDescriptor(
            .activeFunctions,
            "trace_active_functions",
            .gauge,
            "Calls open now.",
            labels: processLabels
        ),
    ]

    private static let cpu: [MetricDescriptor] = [
        MetricDescriptor(
            .cpuUtilizationRatio,
            "trace_cpu_utilization_ratio",
            .gauge,
            "Share of a CPU in use, last value.",
            labels: processLabels,
            unit: "ratio"
        ),
        MetricDescriptor(
            .cpuMigrationsTotal,
            "trace_cpu_migrations_total",
            .counter,
            "Moves between CPUs.",
            labels: processLabels
        ),
        MetricDescriptor(
            .cpuNumaMigrationsTotal,
            "trace_cpu_numa_migrations_total",
            .counter,
            "Moves between NUMA nodes.",
            labels: processLabels
        ),
        MetricDescriptor(
            .cpuTimeSecondsTotal,
            "trace_cpu_time_seconds_total",
            .counter,
            "Time on and off a CPU.",
            labels: processLabels + ["state"],
            unit: "seconds"
        ),
    ]

    private static let memory: [MetricDescriptor] = [
        MetricDescriptor(
            .memoryUsageBytes,
            "trace_memory_usage_bytes",
            .gauge,
            "Memory in use, last value.",
            labels: processLabels,
            unit: "bytes"
        ),
        MetricDescriptor(
            .memoryPeakBytes,
            "trace_memory_peak_bytes",
            .gauge,
            "Most memory in use so far.",
            labels: processLabels,
            unit: "bytes"
        ),
        MetricDescriptor(
            .memoryAllocationsTotal,
            "trace_memory_allocations_total",
            .counter,
            "Allocations, where agents count them.",
            labels: processLabels
        ),
        MetricDescriptor(
            .memoryAllocatedBytesTotal,
            "trace_memory_allocated_bytes_total",
            .counter,
            "Bytes allocated.",
            labels: processLabels,
            unit: "bytes"
        ),
        MetricDescriptor(
            .memoryFreedBytesTotal,
            "trace_memory_freed_bytes_total",
            .counter,
            "Bytes freed.",
            labels: processLabels,
            unit: "bytes"
        ),
        MetricDescriptor(
            .memoryFreesTotal,
            "trace_memory_frees_total",
            .counter,
            "Frees, where agents count them.",
            labels: processLabels
        ),
        MetricDescriptor(
            .memoryAllocationSizeBytes,
            "trace_memory_allocation_size_bytes",
            .histogram,
            "Size of allocations.",
            labels: processLabels,
            unit: "bytes",
            bounds: MetricBounds.allocationBytes
        ),
    ]

    private static let network: [MetricDescriptor] = [
        MetricDescriptor(
            .networkBytesTotal,
            "trace_network_bytes_total",
            .counter,
            "Bytes sent and received.",
            labels: processLabels + ["direction"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .networkBytesSampled,
            "trace_network_bytes_sampled",
            .gauge,
            "1 where the bytes are those of received events only, because the agent's counters are not usable.",
            labels: processLabels
        ),
        MetricDescriptor(
            .networkPacketsTotal,
            "trace_network_packets_total",
            .counter,
            "Packets sent and received.",
            labels: processLabels + ["direction"]
        ),
        MetricDescriptor(
            .networkActiveConnections,
            "trace_network_active_connections",
            .gauge,
            "Connections open now.",
            labels: processLabels
        ),
        MetricDescriptor(
            .networkListeningPorts,
            "trace_network_listening_ports",
            .gauge,
            "Ports listened on.",
            labels: processLabels
        ),
    ]

    private static let io: [MetricDescriptor] = [
        MetricDescriptor(
            .ioBytesTotal,
            "trace_io_bytes_total",
            .counter,
            "Bytes read and written.",
            labels: processLabels + ["operation"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .ioOperationsTotal,
            "trace_io_operations_total",
            .counter,
            "Operations.",
            labels: processLabels + ["operation"]
        ),
        MetricDescriptor(
            .ioLatencySeconds,
            "trace_io_latency_seconds",
            .histogram,
            "Latency of an operation.",
            labels: processLabels + ["operation"],
            unit: "seconds",
            bounds: MetricBounds.latencySeconds
        ),
    ]

    private static let gpu: [MetricDescriptor] = [
        MetricDescriptor(
            .gpuMemoryBytes,
            "trace_gpu_memory_bytes",
            .gauge,
            "GPU memory, last value.",
            labels: ["host", "pid"],
            unit: "bytes"
        ),
        MetricDescriptor(
            .gpuKernelLaunchesTotal,
            "trace_gpu_kernel_launches_total",
            .counter,
            "Kernel launches.",
            labels: ["host", "pid", "kernel"]
        ),
        MetricDescriptor(
            .gpuTransferRateBytesPerSecond,
            "trace_gpu_transfer_rate_bytes_per_second",
            .gauge,
            "Transfer rate by direction, last value.",
            labels: ["host", "pid", "kind"]
        ),
    ]
}
