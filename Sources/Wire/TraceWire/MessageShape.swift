import TraceModel

/// The wire types of a message's fields and the position of its process id. A few words, so that they stay in registers
/// while an event is scanned.
struct MessageShape {
    /// Two bits per field number below 32: 0 varint, 1 fixed64, 2 length-delimited, 3 unknown.
    let wireTypes: UInt64
    /// Bit n is set if the length-delimited field n is a message.
    var messages: UInt32 = 0
    /// Field of the process id; 0 if there is none or it is in a nested message.
    var processField: UInt32 = 0
    /// Field used as process id if that is 0.
    var threadField: UInt32 = 0

    static let unknown: UInt32 = 3

    @inline(__always) func wireType(of field: UInt32) -> UInt32 {
        guard field < 32 else { return Self.unknown }
        return UInt32(truncatingIfNeeded: wireTypes &>> UInt64(field &* 2)) & 3
    }

    @inline(__always) func isMessage(_ field: UInt32) -> Bool { messages &>> field & 1 != 0 }

    /// Indexed by `Resource.rawValue`.
    static let events: InlineArray<6, MessageShape> = [
        MessageShape(wireTypes: types("svvsvvvv"), processField: 8, threadField: 5),
        MessageShape(wireTypes: types("svvsvvvd-vvvd"), processField: 2),
        MessageShape(
            wireTypes: types("svvssvvvvvvvvvvvvs"),
            messages: 1 << 18,
            processField: 3,
            threadField: 2
        ),
        MessageShape(
            wireTypes: types("svvsvvssvvsvvvvvvvvvs"),
            messages: 1 << 21,
            processField: 3,
            threadField: 2
        ),
        MessageShape(wireTypes: types("svssvdsvvvvvvdd"), processField: 2),
        MessageShape(wireTypes: types("svssss"), messages: 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6),
    ]

    /// Returns the shape of the nested message in field `field` of an event of `resource`.
    static func nested(in field: UInt32, of resource: Resource) -> MessageShape {
        switch (resource, field) {
        case (.gpu, 3): callstackEvent
        case (.gpu, 4): memEvent
        case (.gpu, 5): cudaLaunchEvent
        case (.gpu, 6): memTransEvent
        default: anomaly
        }
    }

    private static let callstackEvent = MessageShape(wireTypes: types("vs"), processField: 1)
    private static let memEvent = MessageShape(wireTypes: types("vv"), processField: 1)
    private static let cudaLaunchEvent = MessageShape(wireTypes: types("svv"), processField: 2)
    private static let memTransEvent = MessageShape(wireTypes: types("vvs"), processField: 1)
    private static let anomaly = MessageShape(wireTypes: types("sd"))

    /// Converts one letter per field, from field 1: varint, double, string or message, - for none.
    private static func types(_ letters: StaticString) -> UInt64 {
        letters.withUTF8Buffer { letters in
            var types = ~UInt64(0)
            for index in letters.indices {
                let wireType: UInt64 =
                    switch unsafe letters[index] {
                    case UInt8(ascii: "v"): 0
                    case UInt8(ascii: "d"): 1
                    case UInt8(ascii: "s"): 2
                    default: 3
                    }
                let shift = UInt64(2 * (index + 1))
                types = types & ~(3 << shift) | wireType << shift
            }
            return types
        }
    }
}

/// Field names of Protos/tracer_service.proto for error messages. Used only for refused batches.
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

    /// Returns the name of an event's field.
    static func field(_ number: UInt32, of resource: Resource) -> String {
        name(number, in: fields(of: resource))
    }

    /// Returns the name of a field in a nested message, which is field `parent` of an event.
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

    /// Returns the names by field number from 1; empty if the proto skips a number.
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
                "utilization", "",
                "migrations_count", "numa_migrations", "hotspot_cpu", "hotspot_percentage",
            ]
        case .memory:
            [
                "timestamp", "pid", "tgid", "comm", "operation", "size", "addr", "stack_id",
                "total_allocs",
                "total_frees", "current_memory", "peak_memory", "mem_pattern", "large_allocs",
                "fragmentation_score",
                "leak_suspected", "churn_score", "anomalies",
            ]
        case .network:
            [
                "timestamp", "pid", "tgid", "comm", "is_send", "bytes", "src_addr", "dst_addr",
                "src_port", "dst_port",
                "protocol", "tx_bytes", "rx_bytes", "tx_packets", "rx_packets", "net_pattern",
                "retransmits", "errors",
                "is_bursty", "active_connections", "anomalies",
            ]
        case .io:
            [
                "timestamp", "pid", "comm", "operation", "bytes", "latency_ms", "device", "major",
                "minor",
                "read_bytes", "write_bytes", "read_ops", "write_ops", "avg_read_latency",
                "avg_write_latency",
            ]
        case .gpu:
            [
                "timestamp", "event_type", "callstack_event", "mem_event", "cuda_launch_event",
                "mem_trans_event",
            ]
        }
    }
}
