import Compression
import SystemIO
import TraceMetrics
import TraceModel

/// What a scrape of 50,000 series costs the aggregator: reading the store, rendering the page, packing it. Its
/// figure is by series.
struct PageStage {
    private static let processes = 100
    private static let functions = 500

    let rounds: Int

    func run() throws -> StageFigure {
        var store = try Self.store()
        var costs: [Double] = []
        var series = 0
        for round in 0...rounds {
            // As for a scraper: what is new is in.
            try store.apply(MetricSnapshot(process: "function.0", incarnation: 1, pid: 1))
            let began = WallClock.monotonic()
            let reading = store.reading()
            let page = Exposition.render(reading, .all, .text, now: 0)
            _ = try page.withUnsafeBytes { try Gzip.compress($0) }
            let passed = WallClock.monotonic() - began
            let count = reading.families.reduce(0) { $0 + $1.count }
            guard round > 0 else { continue }
            costs.append(Double(passed) / Double(count))
            series += count
        }
        return StageFigure(
            name: "page of 50,000 series",
            nanosecondsPerEvent: median(costs),
            fastestNanosecondsPerEvent: costs.min() ?? 0,
            events: series
        )
    }

    private static func store() throws -> MetricStore {
        var store = MetricStore(limits: SeriesLimits(perFamily: processes * functions))
        var series = SeriesWriter()
        series.begin()
        for process in 0..<processes {
            let pid = UInt32(4_000 + process)
            series.beginSection(slot: UInt8(process), lsn: 1, isFull: true)
            series.use(host: "bench", pid: pid, name: .empty, isNew: false)
            for function in 0..<functions {
                var name = "bench::function_\(function)"
                name.withUTF8 {
                    let name = ByteView(UnsafeRawBufferPointer($0))
                    series.begin(SeriesSet(), count: 1, name: name)
                    series.add(.functionCallsTotal, Double(function * process))
                    _ = series.end()
                }
            }
            guard series.endSection() else {
                throw TraceError(.exhausted, "a section of \(functions) series")
            }
        }
        _ = try store.apply(
            MetricSeries(
                process: "function.0",
                incarnation: 1,
                begins: true,
                sections: series.take()
            )
        )
        return store
    }
}
