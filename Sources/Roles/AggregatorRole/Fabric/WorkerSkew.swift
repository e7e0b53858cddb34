import TraceModel

/// How unevenly the events of a resource fall on its workers: what each applied in the last minute over the mean of
/// all of them. Pure: times are monotonic nanoseconds.
struct WorkerSkew {
    private struct Moment {
        let at: Int64
        let applied: [WorkerName: Double]
    }

    static let stepNanoseconds: Int64 = 10_000_000_000
    private static let stepsMax = 6

    /// The oldest first, a step apart.
    private var moments: [Moment] = []
    /// By worker, in thousandths; none of a resource that is quiet.
    private(set) var ratios: [WorkerName: Double] = [:]

    /// Whether a step has passed.
    func isDue(now: Int64) -> Bool {
        moments.last.map { now - $0.at >= Self.stepNanoseconds } ?? true
    }

    /// Takes in how many events each worker has applied since it began; one that is new began with none.
    mutating func note(_ applied: [WorkerName: Double], now: Int64) {
        if let first = moments.first {
            let lately = applied.map { worker, count in
                (worker, max(count - (first.applied[worker] ?? 0), 0))
            }
            ratios = Self.ratios(of: lately)
        }
        moments.append(Moment(at: now, applied: applied))
        if moments.count > Self.stepsMax { moments.removeFirst() }
    }

    private static func ratios(of lately: [(WorkerName, Double)]) -> [WorkerName: Double] {
        var ratios: [WorkerName: Double] = [:]
        for (_, workers) in Dictionary(grouping: lately, by: { $0.0.resource }) {
            let mean = workers.reduce(0) { $0 + $1.1 } / Double(workers.count)
            guard mean > 0 else { continue }
            for (worker, count) in workers {
                ratios[worker] = (count / mean * 1_000).rounded() / 1_000
            }
        }
        return ratios
    }
}
