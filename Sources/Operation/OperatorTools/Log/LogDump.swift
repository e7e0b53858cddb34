import IngestLog
package import TraceModel
import TraceWire

/// Writes one line a record.
package struct LogDump {
    private let from: LSN?
    private let to: LSN?
    private let limit: Int
    private let isJSON: Bool

    /// Records that begin at or above `from` and below `to`, `limit` of them at most.
    package init(from: LSN?, to: LSN?, limit: Int?, isJSON: Bool) {
        self.from = from
        self.to = to
        self.limit = limit ?? .max
        self.isJSON = isJSON
    }

    /// Hands each line on, without a line end. Blocks; bounded memory.
    /// - Throws: `SystemError` where the log cannot be read, and whatever `write` throws.
    package func run(_ log: StoredLog, write: (String) throws -> Void) throws {
        var walk = try log.walk(from: from)
        var index = EventIndex()
        var written = 0
        while written < limit {
            switch try walk.next() {
            case .records(let bytes):
                for record in LogRecords(bytes) where record.lsn >= from ?? 0 {
                    guard written < limit, record.lsn < to ?? .max else { return }
                    try write(shown(LogLine(record, &index)))
                    written += 1
                }
            case .damage(let range):
                guard range.lowerBound < to ?? .max else { return }
                guard range.upperBound > from ?? 0 else { continue }
                try write(shown(LogLine(damaged: range)))
                written += 1
            case .trimmed: break
            case .end: return
            }
        }
    }

    private func shown(_ line: LogLine) throws -> String {
        isJSON ? try Report.json(line) : line.text
    }
}
