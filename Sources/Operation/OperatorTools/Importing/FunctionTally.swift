/// Running count and mean duration of each function of each process, as an agent would send them.
struct FunctionTally {
    /// A function of a process.
    private struct Key: Hashable {
        var pid: UInt32
        var name: UInt32
    }

    /// Totals over a function's calls.
    private struct Totals {
        var calls: UInt64 = 0
        var completed: UInt64 = 0
        var nanoseconds: UInt64 = 0
    }

    private var totals: [Key: Totals] = [:]

    /// Counts one edge; returns calls begun so far and the mean of those completed, in microseconds.
    mutating func count(
        _ edge: CallEdge,
        pid: UInt32
    ) -> (calls: UInt64, averageMicroseconds: UInt64) {
        let key = Key(pid: pid, name: edge.name)
        var entry = totals[key] ?? Totals()
        if edge.isEntry {
            entry.calls += 1
        } else {
            entry.completed += 1
            entry.nanoseconds &+= UInt64(edge.duration)
        }
        totals[key] = entry
        let average = entry.completed == 0 ? 0 : entry.nanoseconds / entry.completed / 1000
        return (entry.calls, average)
    }
}
