import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceProcessing
import TraceWire

/// What tables keep from being run as a formula, and that nothing else changes.
@Suite(.serialized) struct FormulaGuardTests {
    private static let texts: Set = [
        "host", "Function", "Process", "Operation", "Source", "Destination", "Protocol", "Device",
        "Event", "Kernel",
        "Kind",
    ]

    private func output(
        _ resource: Resource,
        _ batches: [ContractBatch],
        guardsFormulas: Bool,
        workers count: Int = 1
    ) throws -> ContractOutput {
        let directory = try ContractDirectory()
        let workers = try (0..<count).map {
            try ContractWorker(
                resource,
                index: $0,
                root: directory.path,
                guardsFormulas: guardsFormulas
            )
        }
        for batch in batches {
            for (index, worker) in workers.enumerated() {
                try worker.apply(batch.share { Int($0) % count == index })
            }
        }
        return try directory.merge(resource, try workers.flatMap { try $0.finalize() })
    }

    @Test(arguments: Resource.allCases) func onlyTextThatBeginsAFormulaChanges(
        _ resource: Resource
    ) throws {
        let batches = GoldenScript.of(resource).windows[0].compactMap { step in
            if case .batch(let batch) = step { batch } else { nil }
        }
        let plain = try output(resource, batches, guardsFormulas: false)
        let guarded = try output(resource, batches, guardsFormulas: true)
        #expect(plain.rows().count == guarded.rows().count)
        var changed = 0
        for (before, after) in zip(plain.rows(), guarded.rows()) {
            for (column, cell) in before {
                let isFormula =
                    Self.texts.contains(column) && "=+-@\t\r".contains(cell.first ?? "x")
                #expect(after[column] == (isFormula ? "'" : "") + cell)
                if isFormula { changed += 1 }
            }
        }
        #expect(changed > 0)
        let different = plain.files.filter { guarded.files[$0.key] != $0.value }.keys
        #expect(different.allSatisfy { $0.hasSuffix(".csv") })
    }

    /// Rows of one moment are ordered by their hosts' cells, whichever worker writes them.
    @Test func theNumberOfWorkersDoesNotShow() throws {
        let batches = ["'=a", "(c", "=b"].map { host in
            var batch = GoldenScript.Batch(host: host)
            for pid in UInt32(1)...40 {
                batch.add(pid) {
                    var event = BatchEncoder.CPU()
                    event.timestamp = GoldenScript.time(1)
                    event.pid = pid
                    $0.append(event)
                }
            }
            return ContractBatch(host: host, events: batch.events, arrival: 1, lsn: 1)
        }
        let one = try output(.cpu, batches, guardsFormulas: true).text(suffix: ".csv")
        #expect(one?.contains("'=b") == true)
        for count in 2...5 {
            let other = try output(.cpu, batches, guardsFormulas: true, workers: count)
            #expect(other.text(suffix: ".csv") == one, "\(count) workers")
        }
    }
}
