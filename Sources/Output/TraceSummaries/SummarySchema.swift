package import TraceModel

/// Defines the summary of each resource: the one place to add a column or a list. The positions of tables and columns
/// are stored in checkpoints, announcements and files, so new ones are appended.
package enum SummarySchema {
    /// Returns the tables of a resource's summary, in their stored order.
    package static func tables(of resource: Resource) -> [SummaryTableSchema] {
        switch resource {
        case .function: function
        case .cpu: cpu
        case .memory: memory
        case .network: network
        case .io: io
        case .gpu: gpu
        }
    }

    /// Returns how many tables a summary in the format of 0.1.0 has: the first ones of the present tables.
    static func fixedTableCount(of resource: Resource) -> Int {
        switch resource {
        case .cpu, .memory: 1
        case .network: 2
        case .function: 3
        case .gpu: 4
        case .io: 7
        }
    }

    /// Appends, to tables by process, the tables that add up the rows of some of them over processes.
    private static func adding(
        _ scope: SummaryTableSchema.Scope,
        of positions: [Int],
        to tables: [SummaryTableSchema]
    ) -> [SummaryTableSchema] { tables + positions.map { tables[$0].overall(scope, of: $0) } }

    private static let function = adding(
        .everywhere,
        of: [1],
        to: [
            SummaryTableSchema(
                "processes",
                columns: [
                    .sum("events"), .sum("calls"), .sum("total", .nanoseconds), .sum("slow_calls"),
                ],
                lists: [.init("busiest", by: .column(2)), .init("most_calls", by: .column(1))]
            ),
            SummaryTableSchema(
                "functions",
                item: "function",
                columns: [
                    .sum("calls"), .sum("completed"), .sum("total", .nanoseconds),
                    .max("max", .nanoseconds),
                    .sum("slow_calls"), .sum("unmatched_exits"), .sum("self", .nanoseconds),
                    .hidden("timed", .nanoseconds), .hidden("timed_calls"),
                ],
                mean: .init("mean", of: 7, by: 8, .nanoseconds),
                hasQuantiles: true,
                lists: [
                    .init("slowest", by: .p99), .init("busiest", by: .column(6)),
                    .init("most_calls", by: .column(0)),
                ]
            ),
        ]
    )

    /// Fills the columns that rows of 0.1.0 lack: there, every call was timed and no self time was known.
    static func completeFunction(_ values: inout SummaryValues) {
        values[6] = values[2]
        values[7] = values[2]
        values[8] = values[1]
    }

    private static let cpu = [
        SummaryTableSchema(
            "processes",
            columns: [
                .sum("events"), .sum("samples"), .hidden("utilization", .millionths),
                .max("max_utilization", .millionths), .sum("on_cpu", .microseconds),
                .sum("off_cpu", .microseconds),
                .sum("migrations"), .sum("numa_migrations"), .sum("moves"),
            ],
            mean: .init("mean_utilization", of: 2, by: 1, .millionths),
            lists: [
                .init("busiest", by: .column(4)), .init("highest_utilization", by: .mean),
                .init("most_migrations", by: .column(6)),
            ]
        ),
        // The CPUs on which samples found a process, with their share of its samples in the window.
        SummaryTableSchema(
            "cpus",
            item: "cpu",
            columns: [.sum("samples"), .sum("moves"), .hidden("process_samples")],
            mean: .init("share", of: 0, by: 2, .percent),
            lists: [.init("most_samples", by: .column(0))]
        ),
    ]

    private static let memory = [
        SummaryTableSchema(
            "processes",
            columns: [
                .sum("events"), .latest("current_bytes"), .max("max_bytes"), .max("peak_bytes"),
                .sum("allocations"),
                .sum("frees"), .sum("allocated_bytes"), .max("largest_allocation_bytes"),
                .sum("freed_bytes"),
            ],
            lists: [
                .init("largest", by: .column(2)), .init("most_allocated", by: .column(6)),
                .init("most_allocations", by: .column(4)),
            ]
        ),
        // Memory that is allocated and not released at the end of the window, by the call stack that allocated it.
        SummaryTableSchema(
            "stacks",
            item: "stack",
            columns: [.latest("outstanding_bytes"), .latest("outstanding")],
            isSnapshot: true,
            lists: [.init("largest", by: .column(0))]
        ),
    ]

    private static let network = adding(
        .host,
        of: [2],
        to: [
            SummaryTableSchema(
                "processes",
                columns: [
                    .sum("events"), .sum("tx_bytes"), .sum("rx_bytes"), .sum("tx_packets"),
                    .sum("rx_packets"),
                    .sum("sent_bytes"), .sum("received_bytes"), .max("max_connections"),
                ],
                lists: [
                    .init("top_talkers", by: .sum(1, 2)), .init("most_packets", by: .sum(3, 4)),
                    .init("most_connections", by: .column(7)),
                ]
            ),
            // `opened` and `last_seen` cover the connection's whole life, also before the window.
            SummaryTableSchema(
                "connections",
                item: "connection",
                columns: [
                    .sum("events"), .sum("sent_bytes"), .sum("received_bytes"),
                    .min("opened", .time),
                    .max("last_seen", .time),
                ],
                lists: [.init("top_talkers", by: .sum(1, 2))]
            ),
            SummaryTableSchema(
                "protocols",
                item: "protocol",
                columns: [
                    .sum("events"), .sum("sent_bytes"), .sum("received_bytes"), .sum("tx_packets"),
                    .sum("rx_packets"),
                ],
                lists: [
                    .init("top_talkers", by: .sum(1, 2)), .init("most_packets", by: .sum(3, 4)),
                ]
            ),
        ]
    )

    /// Devices are summed within a host: devices of two hosts differ even if they have the same name.
    private static let io = adding(
        .host,
        of: [1, 2, 3],
        to: [
            SummaryTableSchema(
                "processes",
                columns: [
                    .sum("events"), .sum("read_bytes"), .sum("write_bytes"),
                    .sum("read_operations"),
                    .sum("write_operations"),
                ],
                lists: [.init("busiest", by: .sum(1, 2)), .init("most_operations", by: .sum(3, 4))]
            ),
            operations("reads"), operations("writes"), operations("other_operations"),
        ]
    )

    /// Makes the table of one kind of operation, by process and device.
    private static func operations(_ name: String) -> SummaryTableSchema {
        SummaryTableSchema(
            name,
            item: "device",
            columns: [
                .sum("operations"), .sum("bytes"), .hidden("timed"), .sum("total", .nanoseconds),
                .max("max", .nanoseconds),
            ],
            mean: .init("mean", of: 3, by: 2, .nanoseconds),
            hasQuantiles: true,
            lists: [
                .init("slowest", by: .p99), .init("busiest", by: .column(1)),
                .init("most_operations", by: .column(0)),
            ]
        )
    }

    private static let gpu = adding(
        .everywhere,
        of: [1],
        to: [
            SummaryTableSchema(
                "processes",
                columns: [
                    .sum("events"), .latest("memory_bytes"), .max("max_memory_bytes"),
                    .sum("launches"),
                ],
                lists: [.init("largest", by: .column(2)), .init("most_launches", by: .column(3))]
            ),
            SummaryTableSchema(
                "kernels",
                item: "kernel",
                columns: [.sum("launches"), .sum("events")],
                lists: [.init("most_launches", by: .column(0))]
            ),
            SummaryTableSchema(
                "transfers",
                item: "kind",
                columns: [
                    .sum("samples"), .hidden("rate_bytes_per_second"),
                    .max("max_rate_bytes_per_second"),
                ],
                mean: .init("mean_rate_bytes_per_second", of: 1, by: 0, .count),
                lists: [.init("fastest", by: .mean)]
            ),
        ]
    )
}
