/// A call's begin or end, in the order in which they are to be sent.
package struct CallEdge: Equatable, Sendable {
    package var time: Int64
    package var isEntry: Bool
    /// The same for both edges of one call, different for every other call; from 1.
    package var cookie: Int64
    package var name: UInt32
    package var thread: UInt32
    /// Nanoseconds the call took; 0 on an entry.
    package var duration: Int64
}

/// All edges of a recording in time order, threads merged; within a thread properly nested.
/// Sorts the calls where they are: O(n log n) once, then O(log threads) an edge.
package struct CallTimeline {
    private var sweeps: [ThreadSweep] = []
    /// Indexes of `sweeps` that have an edge left: a binary heap by the time of that edge.
    private var heap: [Int] = []
    private var lastCookie: Int64 = 0

    package init(_ recording: inout Recording) {
        recording.calls.sort {
            ($0.thread, $0.start, $1.end, $0.order) < ($1.thread, $1.start, $0.end, $1.order)
        }
        let calls = recording.calls
        var from = 0
        while from < calls.count {
            var to = from + 1
            while to < calls.count, calls[to].thread == calls[from].thread { to += 1 }
            sweeps.append(ThreadSweep(calls[from..<to], lastCookie: &lastCookie))
            from = to
        }
        heap = sweeps.indices.sorted { precedes($0, $1) }
    }

    /// Calls that outlasted their callers and were cut.
    package var truncatedCalls: Int { sweeps.reduce(0) { $0 + $1.truncated } }

    /// Returns the next begin or end of a call in order of time; nil after the last.
    package mutating func next() -> CallEdge? {
        guard let top = heap.first, let edge = sweeps[top].pending else { return nil }
        sweeps[top].advance(&lastCookie)
        if sweeps[top].pending == nil {
            let last = heap.removeLast()
            if heap.isEmpty { return edge }
            heap[0] = last
        }
        sink()
        return edge
    }

    /// By time; threads at the same time in the order in which the file names them.
    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (sweeps[a].pending?.time ?? .max, a) < (sweeps[b].pending?.time ?? .max, b)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if precedes(heap[child], heap[least]) { least = child }
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
