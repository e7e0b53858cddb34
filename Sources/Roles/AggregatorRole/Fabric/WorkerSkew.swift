import TraceModel

/// Measures how unevenly a resource's events are spread over its workers. The ratio is a worker's applied events of
/// the last minute over the mean of all workers of the resource. Pure; times are in monotonic nanoseconds.
struct WorkerSkew {
    /// Applied events of all workers at one time.
    private struct Moment {
        let at: Int64
        let applied: [WorkerName: Double]
    }

    static let stepNanoseconds: Int64 = 10_000_000_000
    private static let stepsMax = 6

    /// Samples, oldest first, `stepNanoseconds` apart.
    private var moments: [Moment] = []
    /// Ratio by worker, rounded to thousandths; absent for an idle resource.
    private(set) var ratios: [WorkerName: Double] = [:]

    /// Whether the next sample is due.
    func isDue(now: Int64) -> Bool {
        moments.last.map { now - $0.at >= Self.stepNanoseconds } ?? true
    }

    /// Adds a sample: the events that each worker has applied since it started. A new worker counts from 0.
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
