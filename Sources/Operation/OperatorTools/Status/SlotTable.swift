package import TraceModel

/// Which worker holds which slots: as a table for people, and as one JSON object.
package struct SlotTable {
    private struct Row: Encodable {
        let resource: String
        let worker: String
        let slots: Int
        let ranges: String
        let sinceLsn: UInt64
        /// Left out where the resource is quiet.
        let skewRatio: Double?
    }

    private struct Document: Encodable {
        let slots: [Row]
    }

    private let rows: [Row]

    /// `status` tells how busy the workers are.
    package init(_ holdings: [SlotHolding], _ status: ClusterStatus) {
        let skew = Dictionary(
            status.workers.map { ($0.name, $0.skewRatio) },
            uniquingKeysWith: { first, _ in first }
        )
        rows = holdings.map { holding in
            Row(
                resource: holding.worker.resource.name,
                worker: "\(holding.worker)",
                slots: holding.count,
                ranges: holding.slotText,
                sinceLsn: holding.since,
                skewRatio: skew["\(holding.worker)"] ?? nil
            )
        }
    }

    package func json() throws -> String { try Report.json(Document(slots: rows)) }

    package func text(terminal: Terminal) -> String {
        let head = line("WORKER", "SLOTS", "SKEW", "SINCE LSN", "RANGES")
        let body = rows.map {
            line(
                $0.worker,
                "\($0.slots)",
                Report.ratio($0.skewRatio),
                Report.grouped(Int(clamping: $0.sinceLsn)),
                $0.ranges
            )
        }
        return ([terminal.paint(head, .bold)] + body).joined(separator: "\n")
    }

    private func line(
        _ worker: String,
        _ slots: String,
        _ skew: String,
        _ since: String,
        _ ranges: String
    ) -> String {
        worker.padded(to: 14) + slots.padded(leftTo: 6) + skew.padded(leftTo: 8)
            + since.padded(leftTo: 20) + "  " + ranges
    }
}
