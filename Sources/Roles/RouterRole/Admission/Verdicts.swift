import IngestLog
import SystemIO
import TraceModel

/// The verdicts in force: which ranges of the log are left out for which worker, as far as the log may be read again.
struct Verdicts: Equatable {
    private var ranges: [WorkerName: [Range<LSN>]] = [:]

    /// The number of verdicts in force.
    var count: Int { ranges.values.reduce(0) { $0 + $1.count } }

    /// Returns whether the batch at `lsn` is left out for the worker.
    func covers(_ worker: WorkerName, _ lsn: LSN) -> Bool {
        ranges[worker]?.contains { $0.contains(lsn) } ?? false
    }

    /// Returns the first LSN at or after `lsn` that is not left out for the worker.
    func firstOpen(for worker: WorkerName, from lsn: LSN) -> LSN {
        var open = lsn
        while let range = ranges[worker]?.first(where: { $0.contains(open) }) {
            open = range.upperBound
        }
        return open
    }

    /// Returns whether exactly this verdict is in force.
    func contains(_ worker: WorkerName, from lsn: LSN) -> Bool {
        ranges[worker]?.contains { $0.lowerBound == lsn } ?? false
    }

    mutating func insert(_ range: Range<LSN>, of worker: WorkerName) {
        ranges[worker, default: []].append(range)
    }

    /// Removes verdicts on ranges that can no longer be read.
    mutating func trim(below lsn: LSN) {
        guard !ranges.isEmpty else { return }
        ranges = ranges.compactMapValues { ranges in
            let kept = ranges.filter { $0.upperBound > lsn }
            return kept.isEmpty ? nil : kept
        }
    }

    // MARK: In the heads of log files

    /// Encodes the verdicts for the head of a log file. Layout, little-endian: count u32, then for each: resource u8,
    /// index u16, from u64, to u64.
    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        for (worker, ranges) in ranges {
            for range in ranges {
                buffer.append(byte: worker.resource.rawValue)
                buffer.append(integer: UInt16(worker.index))
                buffer.append(integer: range.lowerBound)
                buffer.append(integer: range.upperBound)
            }
        }
    }

    /// Reads what `encode` wrote.
    /// - Throws: `TraceError(.corrupt)` if the bytes are malformed.
    mutating func restore(from reader: inout StateReader) throws(TraceError) {
        ranges = [:]
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let resource = Resource(rawValue: try reader.integer(UInt8.self))
            let index = Int(try reader.integer(UInt16.self))
            let from = try reader.integer(UInt64.self)
            let to = try reader.integer(UInt64.self)
            guard let resource, index < Limits.workersPerResourceMax, from < to else {
                throw TraceError(.corrupt, "A log file's list of verdicts is out of shape")
            }
            insert(from..<to, of: WorkerName(resource: resource, index: index))
        }
    }
}
