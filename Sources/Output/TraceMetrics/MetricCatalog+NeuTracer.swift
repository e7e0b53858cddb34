extension MetricCatalog {
    /// The original server's metrics with its names, labels and meanings, so that its dashboards keep working. A family
    /// that has the same content as one of ours is derived from it and never sent.
    static let neutracer: [MetricDescriptor] =
        original + originalFunctions + originalCPU + originalIO + originalMemory + originalNetwork
        + originalGPU

    private static let byPID = ["pid"]
    private static let byProcess = ["pid", "process"]

    private static func gauge(
        _ family: MetricFamily,
        _ suffix: String,
        _ help: String,
        _ labels: [String],
        from source: MetricFamily? = nil,
        _ derived: [MetricDescriptor.Derivation.Label] = []
    ) -> MetricDescriptor {
        MetricDescriptor(
            family,
            "neutracer_" + suffix,
            .gauge,
            help,
            labels: labels,
            from: source.map { .init(source: $0, labels: derived) }
        )
    }

    private static let original: [MetricDescriptor] = [
        MetricDescriptor(
            .neutracerTracesTotal,
            "neutracer_traces_total",
            .counter,
            "Traces received.",
            labels: ["type"],
            from: .init(source: .eventsTotal, labels: [.copy(0)])
        ),
        MetricDescriptor(
            .neutracerBatchSize,
            "neutracer_batch_size",
            .histogram,
            "Traces in a batch.",
            labels: ["type"],
            bounds: MetricBounds.batchEvents,
            from: .init(source: .batchEvents, labels: [.copy(0)])
        ),
        gauge(
            .neutracerActiveClients,
            "active_clients",
            "Active clients.",
            [],
            from: .activeClients
        ),
        MetricDescriptor(
            .neutracerProcessingTimeSeconds,
            "neutracer_processing_time_seconds",
            .histogram,
            "Time taken for a batch.",
            unit: "seconds",
            bounds: MetricBounds.latencySeconds,
            from: .init(source: .batchProcessingSeconds, labels: [])
        ),
        gauge(
            .neutracerInactivityTimeSeconds,
            "inactivity_time_seconds",
            "Time since the last batch.",
            []
        ),
    ]

    private static let originalFunctions: [MetricDescriptor] = [
        gauge(
            .neutracerFunctionCallsTotal,
            "function_calls_total",
            "The agent's count of calls.",
            ["function", "process"]
        ),
        MetricDescriptor(
            .neutracerFunctionDurationSeconds,
            "neutracer_function_duration_seconds",
            .histogram,
            "Duration of calls.",
            labels: ["function", "process"],
            unit: "seconds",
            bounds: MetricBounds.functionSeconds,
            from: .init(source: .functionDurationSeconds, labels: [.copy(3), .processOfPID(1)])
        ),
        gauge(
            .neutracerFunctionStats,
            "function_stats",
            "avg_duration_us and max_duration_seconds of a function.",
            ["function", "process", "metric"]
        ),
        gauge(
            .neutracerActiveFunctions,
            "active_functions",
            "Calls open now.",
            ["process"],
            from: .activeFunctions,
            [.processOfPID(1)]
        ),
    ]

    private static let originalCPU: [MetricDescriptor] = [
        gauge(
            .neutracerCPUUtilizationPercent,
            "cpu_utilization_percent",
            "CPU utilization, 0 to 1.",
            byProcess,
            from: .cpuUtilizationRatio,
            [.copy(1), .copy(2)]
        ),
        gauge(
            .neutracerCPUOnTimeMicroseconds,
            "cpu_on_time_microseconds",
            "Time on a CPU.",
            byProcess
        ),
        gauge(
            .neutracerCPUOffTimeMicroseconds,
            "cpu_off_time_microseconds",
            "Time off a CPU.",
            byProcess
        ),
        gauge(
            .neutracerCPUMigrationsTotal,
            "cpu_migrations_total",
            "Moves between CPUs.",
            byProcess
        ),
        gauge(
            .neutracerNumaMigrationsTotal,
            "numa_migrations_total",
            "Moves between NUMA nodes.",
            byProcess
        ),
    ]

    private static let originalIO: [MetricDescriptor] = [
        gauge(
            .neutracerIOThroughputBytes,
            "io_throughput_bytes",
            "Bytes read and written, as sent.",
            ["pid", "operation"]
        ),
        gauge(.neutracerIOLatencyMilliseconds, "io_latency_ms", "Latency.", ["pid", "operation"]),
        gauge(
            .neutracerIOOperationsPerSecond,
            "io_ops_per_second",
            "Operations a second.",
            ["pid", "operation"]
        ),
        gauge(.neutracerIOTotalBytes, "io_total_bytes", "Bytes so far.", ["pid", "operation"]),
    ]

    private static let originalMemory: [MetricDescriptor] = [
        gauge(
            .neutracerMemoryUsageBytes,
            "memory_usage_bytes",
            "Memory in use.",
            byPID,
            from: .memoryUsageBytes,
            [.copy(1)]
        ),
        gauge(
            .neutracerMemoryPeakBytes,
            "memory_peak_bytes",
            "Most memory in use.",
            byPID,
            from: .memoryPeakBytes,
            [.copy(1)]
        ),
        gauge(
            .neutracerMemoryAllocationsPerSecond,
            "memory_allocations_per_second",
            "Allocations a second.",
            byPID
        ),
        gauge(.neutracerMemoryFreesPerSecond, "memory_frees_per_second", "Frees a second.", byPID),
        gauge(
            .neutracerMemoryTotalAllocations,
            "memory_total_allocations",
            "Allocations so far.",
            byPID
        ),
        gauge(.neutracerMemoryTotalFrees, "memory_total_frees", "Frees so far.", byPID),
        MetricDescriptor(
            .neutracerMemoryAllocationSizeBytes,
            "neutracer_memory_allocation_size_bytes",
            .histogram,
            "Size of allocations.",
            labels: byPID,
            unit: "bytes",
            bounds: MetricBounds.allocationBytes,
            from: .init(source: .memoryAllocationSizeBytes, labels: [.copy(1)])
        ),
    ]

    private static let originalNetwork: [MetricDescriptor] = [
        gauge(
            .neutracerNetworkTxBytesRate,
            "network_tx_bytes_rate",
            "Bytes sent a second.",
            byProcess
        ),
        gauge(
            .neutracerNetworkRxBytesRate,
            "network_rx_bytes_rate",
            "Bytes received a second.",
            byProcess
        ),
        gauge(
            .neutracerNetworkTxPacketsRate,
            "network_tx_packets_rate",
            "Packets sent a second.",
            byProcess
        ),
        gauge(
            .neutracerNetworkRxPacketsRate,
            "network_rx_packets_rate",
            "Packets received a second.",
            byProcess
        ),
        gauge(
            .neutracerNetworkTotalTxBytes,
            "network_total_tx_bytes",
            "Bytes sent, as last reported.",
            byProcess
        ),
        gauge(
            .neutracerNetworkTotalRxBytes,
            "network_total_rx_bytes",
            "Bytes received, as last reported.",
            byProcess
        ),
        gauge(
            .neutracerNetworkTotalTxPackets,
            "network_total_tx_packets",
            "Packets sent.",
            byProcess
        ),
        gauge(
            .neutracerNetworkTotalRxPackets,
            "network_total_rx_packets",
            "Packets received.",
            byProcess
        ),
        gauge(
            .neutracerNetworkActiveConnections,
            "network_active_connections",
            "Connections open now.",
            byProcess,
            from: .networkActiveConnections,
            [.copy(1), .copy(2)]
        ),
        gauge(
            .neutracerNetworkListeningPorts,
            "network_listening_ports",
            "Ports listened on.",
            byProcess,
            from: .networkListeningPorts,
            [.copy(1), .copy(2)]
        ),
    ]

    private static let originalGPU: [MetricDescriptor] = [
        gauge(
            .neutracerGPUMemorySizeBytes,
            "gpu_memory_size_bytes",
            "GPU memory.",
            byPID,
            from: .gpuMemoryBytes,
            [.copy(1)]
        ),
        gauge(
            .neutracerGPUMemoryTransferRateMegabytesPerSecond,
            "gpu_memory_transfer_rate_Mbytes_per_second",
            "Transfer rate.",
            ["pid", "kind_str"]
        ),
        gauge(
            .neutracerGPUKernelFunctionCount,
            "gpu_kernel_function_count",
            "Launches of a kernel, as sent.",
            ["pid", "kernel_name"]
        ),
    ]
}
