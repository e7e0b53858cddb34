import TraceModel

/// What the events in the log become at most once their workers have written them, by resource: sums up to places of the
/// log, so that what lies behind a worker's place is known within `Limits.pendingMarkBytes`, or a two-thousandth of a long
/// log. A pure state machine; O(1) a commit group, O(log marks) a question.
struct PendingOutput: Sendable {
    private struct Mark: Sendable {
        /// Behind the last record counted.
        let end: LSN
        let total: InlineArray<6, Int>
    }

    private var marks: [Mark] = []
    private var total: InlineArray<6, Int> = InlineArray(repeating: 0)
    /// Behind the last record.
    private var end: LSN = 0

    /// What `events` of a resource, of so many bytes as they came, become at most.
    static func bytesMax(_ resource: Resource, events: Int, wireBytes: Int) -> Int {
        wireBytes * Limits.escapedBytesPerWireByteMax + events
            * Limits.outputBytesPerEvent(resource)
    }

    /// Records that end at `end` become so much at most.
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

    /// What the events of a resource become at most of which nothing is known but that they stand at `lsn` or behind.
    func bytes(of resource: Resource, from lsn: LSN) -> Int {
        guard lsn < end else { return 0 }
        let index = Int(resource.rawValue)
        // The first mark above `lsn`; the one before it is the last known place below.
        var (low, high) = (0, marks.count)
        while low < high {
            let middle = (low + high) / 2
            if marks[middle].end <= lsn { low = middle + 1 } else { high = middle }
        }
        return total[index] - (low > 0 ? marks[low - 1].total[index] : 0)
    }

    /// Nobody asks below `lsn` any more. The last mark below it stays, as questions behind it start from there.
    mutating func trim(below lsn: LSN) {
        let count = marks.prefix { $0.end <= lsn }.count
        guard count > 1 else { return }
        marks.removeFirst(count - 1)
    }
}
