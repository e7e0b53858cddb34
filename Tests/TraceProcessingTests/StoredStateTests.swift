import Foundation
import SystemIO
import Testing
import TraceModel
import TraceSummaries

/// What 0.1.0 has written (`Stored/`) can still be read.
@Suite(.serialized) struct StoredStateTests {
    private static func stored(_ name: String) throws -> Data {
        try Data(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(
                path: "Stored/\(name)"
            )
        )
    }

    /// Summary files: rows of eight numbers, and fewer tables.
    @Test(arguments: Resource.allCases) func summaryFilesOfVersion2(_ resource: Resource) throws {
        let file = try Self.stored("summary_2_\(resource.name).json")
        let object = try #require(try JSONSerialization.jsonObject(with: file) as? [String: Any])
        let text = try #require(object["state"] as? String)
        let state = Array(try #require(Data(base64Encoded: text)))
        let summary = try WindowSummary(state)
        #expect(summary.resource == resource && summary.events == object["events"] as? UInt64)
        #expect(throws: TraceError.self) { try WindowSummary(state.dropLast()) }

        // The tables are those in the file, and what is in both says the same; new ones are empty.
        let tables = try #require(object["tables"] as? [String: [String: Any]])
        let known = summary.tables.filter { tables[$0.schema.name] != nil }
        #expect(known.count == tables.count)
        #expect(summary.tables.prefix(known.count).map(\.schema.name) == known.map(\.schema.name))
        for table in summary.tables {
            let name = table.schema.name
            let totals = tables[name]?["totals"] as? [String: Any] ?? [:]
            #expect(table.rowCount == tables[name]?["rows"] as? UInt64 ?? 0, "\(name)")
            for (position, column) in table.schema.columns.enumerated() {
                guard let total = totals[column.name] as? UInt64 else { continue }
                #expect(table.totals[position] == total, "\(name).\(column.name)")
            }
        }

        // It is the same once it is written in the present form, and can be merged with a new one.
        #expect(try WindowSummary(summary.encoded) == summary)
        #expect(summary.encoded.count < state.count && summary.encoded != state)
        var merged = WindowSummary(resource)
        merged.merge(summary, isLater: true)
        merged.merge(try WindowSummary(summary.encoded), isLater: true)
        #expect(merged.events == 2 * summary.events && merged.processes == summary.processes)
    }

    /// The state of a slot in which a window is open: three events of one process, the last one 2 s after the first.
    @Test(arguments: Resource.allCases) func slotsOfVersion6(_ resource: Resource) throws {
        let text = String(
            decoding: try Self.stored("state_6_\(resource.name).base64"),
            as: UTF8.self
        )
        let state = Array(try #require(Data(base64Encoded: text.filter { !$0.isNewline })))
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let slot = Slot.of(hostHash: ContractEvent.hash("beta"), processID: 7)
        try worker.load(state, slot: slot, version: StateVersion.beforeDialects)
        #expect(worker.state(of: slot) != state)

        let again = try ContractWorker(resource, index: 1, root: directory.path)
        try again.load(worker.state(of: slot), slot: slot)
        #expect(again.state(of: slot) == worker.state(of: slot))

        _ = try worker.finalize()
        let summary = try WindowSummary(worker.summary)
        #expect(summary.events == 3 && summary.processes == 1)
        #expect(summary.tables[0].totals[0] == 3)
        let expected: [UInt64] =
            switch resource {
            case .function: [2, 1]
            case .cpu: []
            case .memory: [300, 3]
            case .network: [3, 2_000, 1_000]
            case .io: [3, 1_536, 3, 6_000_000, 2_000_000]
            case .gpu: [6, 3]
            }
        for (column, number) in expected.enumerated() {
            #expect(summary.tables[1].totals[column] == number, "column \(column)")
        }
    }
}
