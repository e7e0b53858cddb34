import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

/// Tables of the original server's columns, as its detectors read them.
struct CSVColumnsTests {
    /// The original server's columns.
    private static let originals: [Resource: [String]] = [
        .function: ["Timestamp", "PID", "Cookie", "Call Count", "AVG Duration(us)"],
        .cpu: [
            "Timestamp", "PID", "CPU Utilization(%)", "OnCPU Time(μs)", "OffCPU Time(μs)",
            "Migrations",
            "NUMA Migrations", "Hotspot CPU Percentage(%)",
        ], .memory: ["Timestamp", "PID", "Alloc_size", "Free_Size", "Current Usage"],
        .network: [
            "Timestamp", "PID", "tx_bytes", "rx_bytes", "total_tx_packets", "total_rx_packets",
            "active_connections",
        ],
        .io: [
            "Timestamp", "PID", "Read Bytes", "Write Bytes", "READ Latency (ms)",
            "WRITE Latency (ms)", "Read Ops",
            "Write Ops",
        ],
    ]

    @Test(arguments: Resource.allCases) func theOriginalsColumnsComeFirst(_ resource: Resource) {
        let columns = "\(ProcessorRegistry.csvHeader(of: resource))".components(separatedBy: ",")
        let originals = Self.originals[resource]
        #expect(CSVColumns.originalCount(of: resource) == originals?.count)
        if let originals { #expect(Array(columns.prefix(originals.count)) == originals) }
        #expect(columns.suffix(2) == ["host", "Timestamp(ns)"])
    }

    private func tables(_ files: [String: Data]) throws -> [String: CSVTable] {
        try files.filter { $0.key.contains("_trace_") && $0.key.hasSuffix(".csv") }.mapValues {
            try #require(CSVTable($0))
        }
    }

    /// One worker's segment, which would become the final file by a rename, and two workers'.
    @Test(arguments: Resource.allCases, [1, 2]) func tablesHaveTheOriginalsColumnsAlone(
        _ resource: Resource,
        _ workers: Int
    ) throws {
        let all = try GoldenFiles.made(of: resource, workers: workers)
        let files = try GoldenFiles.made(of: resource, workers: workers, csvColumns: .original)
        let tables = try tables(files)
        guard let originals = Self.originals[resource] else {
            #expect(tables.isEmpty)
            #expect(files == all.filter { !$0.key.hasSuffix(".csv") })
            return
        }
        #expect(files.keys.sorted() == all.keys.sorted())
        for (name, table) in try self.tables(all) {
            let reduced = try #require(tables[name])
            #expect(reduced.columns == originals)
            #expect(reduced.rows.joined().allSatisfy { Double($0)?.isFinite == true })
            let expected = table.rows.map { row in
                row.prefix(originals.count).map { $0.isEmpty ? "0.0" : $0 }
            }
            #expect(!expected.isEmpty && reduced.rows == expected)
        }
        // Nothing else is different.
        for (name, data) in all where tables[name] == nil { #expect(files[name] == data) }
    }

    /// Of a table in several files, each is of the one form.
    @Test func partsHaveTheOriginalsColumnsToo() throws {
        var budget = FileBudget()
        budget.finalFileBytesMax = 3_500
        let whole = try tables(GoldenFiles.made(of: .io, csvColumns: .original))
        let files = try GoldenFiles.made(of: .io, csvColumns: .original, budget: budget)
        let parts = try tables(files)
        #expect(parts.count > whole.count)
        for (name, table) in whole {
            let stem = name.dropLast(".csv".count)
            let own = parts.filter { $0.key == name || $0.key.hasPrefix("\(stem)~") }.sorted {
                $0.key < $1.key
            }
            #expect(own.allSatisfy { $0.value.columns == table.columns })
            #expect(own.flatMap(\.value.rows) == table.rows)
            for (name, _) in own {
                #expect(files[name].map { $0.count <= budget.finalFileBytesMax } == true)
            }
        }
    }

    // MARK: Types

    /// As tools that guess types from a file see a field.
    private enum FieldType: Hashable {
        case integer
        case decimal
        case text

        init(_ field: String) {
            if field.utf8.allSatisfy({ "-0123456789".utf8.contains($0) }), Int128(field) != nil {
                self = .integer
            } else {
                self = Double(field) == nil ? .text : .decimal
            }
        }
    }

    /// Of all files of a kind together, as tools read them by a pattern: where a column is of integers in one file and of
    /// decimals in another, they take it for different things or fail. Fields may be empty.
    @Test func aColumnIsOfOneTypeInAllFiles() throws {
        var types: [String: [String: Set<FieldType>]] = [:]
        for resource in Resource.allCases {
            for (name, data) in try GoldenFiles.read(resource.name) where name.hasSuffix(".csv") {
                let table = try #require(CSVTable(data), "\(name)")
                let kind = name.hasPrefix("anomalies_") ? "anomalies" : resource.name
                for row in table.rows {
                    for (column, field) in zip(table.columns, row) where !field.isEmpty {
                        types[kind, default: [:]][column, default: []].insert(FieldType(field))
                    }
                }
            }
        }
        #expect(types.count == Resource.allCases.count + 1)
        for (kind, columns) in types {
            for (column, types) in columns {
                #expect(types.count == 1, "\(kind): \(column) is of \(types)")
            }
        }
        #expect(types["io"]?["READ Latency (ms)"] == [.decimal])
        #expect(types["anomalies"]?["value"] == [.decimal])
        #expect(types["anomalies"]?["ts"] == [.integer])
    }
}
