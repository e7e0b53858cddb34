import TraceModel

/// Field names for error texts, as in Protos/tracer_service.proto. Only refusals come here.
enum WireNames {
    static func batchField(of resource: Resource) -> String {
        switch resource {
        case .function: "trace_data"
        case .gpu: "gpu_trace_data"
        case .cpu: "cpu_trace_data"
        case .memory: "memory_trace_data"
        case .network: "network_trace_data"
        case .io: "io_trace_data"
        }
    }

    static func batchField(_ number: UInt32) -> String {
        if let resource = Resource(batchField: number) { return batchField(of: resource) }
        return switch number {
        case 0: "batch"
        case 100: "client_id"
        case 101: "sequence"
        case 102: "is_last_batch"
        case 103: "host"
        case 104: "semantics"
        case 105: "names"
        default: "field \(number)"
        }
    }

    /// The name of an event's field.
    static func field(_ number: UInt32, of resource: Resource) -> String {
        name(number, in: fields(of: resource))
    }

    /// The name of a field in a submessage that is itself the field `parent` of an event.
    static func nestedField(_ number: UInt32, in parent: UInt32, of resource: Resource) -> String {
        let names: [String] =
            switch (resource, parent) {
            case (.gpu, 3): ["pid", "stack_message"]
            case (.gpu, 4): ["pid", "mem_size"]
            case (.gpu, 5): ["kernel_name", "pid", "num_calls"]
            case (.gpu, 6): ["pid", "mem_trans_rate", "kind_str"]
            default: ["description", "severity"]
            }
        return name(number, in: names)
    }

    private static func name(_ number: UInt32, in names: [String]) -> String {
        let index = Int(number) - 1
        guard names.indices.contains(index), !names[index].isEmpty else { return "field \(number)" }
        return names[index]
    }

    /// By field number from 1; empty where the proto leaves one out.
    private static func fields(of resource: Resource) -> [String] {
        switch resource {
        case .function:
            [
                "timestamp", "event_type", "cookie", "function_name", "pid", "call_count",
                "avg_duration_us", "tgid",
            ]
        case .cpu:
            [
                "timestamp", "pid", "ppid", "comm", "cpu_id", "oncpu_time", "offcpu_time",
                "utilization", "", "migrations_count", "numa_migrations", "hotspot_cpu",
                "hotspot_percentage",
            ]
        case .memory:
            [
                "timestamp", "pid", "tgid", "comm", "operation", "size", "addr", "stack_id",
                "total_allocs", "total_frees", "current_memory", "peak_memory", "mem_pattern",
                "large_allocs", "fragmentation_score", "leak_suspected", "churn_score",
                "anomalies",
            ]
        case .network:
            [
                "timestamp", "pid", "tgid", "comm", "is_send", "bytes", "src_addr", "dst_addr",
                "src_port", "dst_port", "protocol", "tx_bytes", "rx_bytes", "tx_packets",
                "rx_packets", "net_pattern", "retransmits", "errors", "is_bursty",
                "active_connections", "anomalies",
            ]
        case .io:
            [
                "timestamp", "pid", "comm", "operation", "bytes", "latency_ms", "device", "major",
                "minor", "read_bytes", "write_bytes", "read_ops", "write_ops",
                "avg_read_latency", "avg_write_latency",
            ]
        case .gpu:
            [
                "timestamp", "event_type", "callstack_event", "mem_event", "cuda_launch_event",
                "mem_trans_event",
            ]
        }
    }
}
