import TraceModel

/// Estimates the maximum output of the log's events, by resource. Keeps sums at marks in the log, so that the output of
/// the records after a worker's position is known with a precision of `Limits.pendingMarkBytes`, or of a two-thousandth
/// of a long log. A pure state machine; O(1) for a commit group, O(log marks) for a query.
struct PendingOutput: Sendable {
    /// The sums up to a position in the log.
    private struct Mark: Sendable {
        /// The end of the last record counted.
        let end: LSN
        let total: InlineArray<6, Int>
    }

    private var marks: [Mark] = []
    private var total: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// The end of the last record.
    private var end: LSN = 0

    /// Returns the maximum output of `events` events of a resource with `wireBytes` bytes as received.
    static func bytesMax(_ resource: Resource, events: Int, wireBytes: Int) -> Int {
        wireBytes * Limits.escapedBytesPerWireByteMax + events
            * Limits.outputBytesPerEvent(resource)
    }

    /// Adds the maximum output of records that end at `end`.
    mutating func logged(_ bytes: InlineArray<6, Int>, end: LSN) {
        for index in bytes.indices { total[index] += bytes[index] }
        self.end = end
        let begin = marks.first?.end ?? end
        let step = max(LSN(Limits.pendingMarkBytes), (end - begin) / 2_048)
        guard marks.isEmpty || end - marks[marks.count - 1].end >= step else { return }
        marks.append(Mark(end: end, total: total))
        guard marks.count > Limits.pendingMarksMax else { return }
        marks = stride(from: 0, to: marks.count, by: 2).map { marks[$0] }
    }

    /// Returns the maximum output of a resource's events at or after `lsn`.
    func bytes(of resource: Resource, from lsn: LSN) -> Int {
        guard lsn < end else { return 0 }
        let index = Int(resource.rawValue)
        // Finds the first mark above `lsn`; the one before it is the last one at or below.
        var (low, high) = (0, marks.count)
        while low < high {
            let middle = (low + high) / 2
            if marks[middle].end <= lsn { low = middle + 1 } else { high = middle }
        }
        return total[index] - (low > 0 ? marks[low - 1].total[index] : 0)
    }

    /// Removes marks below `lsn`, for which there will be no query, except the last one, from which later queries
    /// start.
    mutating func trim(below lsn: LSN) {
        let count = marks.prefix { $0.end <= lsn }.count
        guard count > 1 else { return }
        marks.removeFirst(count - 1)
    }
}
