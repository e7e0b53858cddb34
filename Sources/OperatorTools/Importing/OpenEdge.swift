/// A `B` or an `E` event until its partner is found.
struct OpenEdge {
    var time: Int64
    var name: UInt32
    var thread: UInt32
    var order: UInt32
    var isBegin: Bool

    /// Joins begins and ends, innermost first, thread by thread in time order. A begin without an end
    /// stays open; the ends without a begin are returned as a count. O(n log n).
    static func pair(_ edges: inout [OpenEdge], into recording: inout Recording) throws -> Int {
        edges.sort { ($0.thread, $0.time, $0.order) < ($1.thread, $1.time, $1.order) }
        var unmatchedEnds = 0
        var open: [OpenEdge] = []
        for edge in edges {
            if let last = open.last, last.thread != edge.thread {
                for left in open { try recording.add(left.call(end: RecordedCall.open)) }
                open.removeAll(keepingCapacity: true)
            }
            if edge.isBegin {
                open.append(edge)
            } else if let begin = open.popLast() {
                try recording.add(begin.call(end: edge.time))
            } else {
                unmatchedEnds += 1
            }
        }
        for left in open { try recording.add(left.call(end: RecordedCall.open)) }
        return unmatchedEnds
    }

    private func call(end: Int64) -> RecordedCall {
        RecordedCall(start: time, end: end, name: name, thread: thread, order: order)
    }
}
