import Testing
import TraceMetrics
import TraceModel
import TraceProcessing

/// What a worker tells of one slot, as samples.
struct SlotSamples {
    let slot: UInt8
    let lsn: LSN
    let isFull: Bool
    var samples: [MetricSample] = []
}

/// Hears what a processor has to tell, as an aggregator would over one connection.
final class SeriesListener: SeriesReceiver {
    private var writer = SeriesWriter()
    private var series: [UInt32: (family: MetricFamily, labels: [String])] = [:]
    private var heard: [SlotSamples] = []

    /// Collects what changed since the last call, or everything again.
    func collect(_ processor: any TraceProcessor, all: Bool, lsn: LSN) throws -> [SlotSamples] {
        if all {
            writer.begin()
            series = [:]
        }
        for slot in processor.slotsToCollect(all: all) {
            let isComplete = processor.collectStats(
                slot: slot,
                isFull: all,
                lsn: lsn,
                into: &writer
            )
            #expect(isComplete)
        }
        heard = []
        var receiver = self
        let isKnown = try SeriesDecoder.decode(writer.take(), into: &receiver)
        #expect(isKnown, "a value came without its definition")
        return heard
    }

    func begin(_ section: SeriesSection) {
        #expect(section.isComplete)
        heard.append(SlotSamples(slot: section.slot, lsn: section.lsn, isFull: section.isFull))
    }

    func define(_ id: UInt32, _ family: MetricFamily, _ labels: [String]) {
        series[id] = (family, labels)
    }

    func markQuiet(host: String, pid: String) {}

    func family(of id: UInt32) -> MetricFamily? { series[id]?.family }

    func take(_ id: UInt32, _ value: Double) {
        let isCounter = series[id]?.family.descriptor.kind == .counter
        add(id, isCounter ? .counter(value) : .gauge(value))
    }

    func take(_ id: UInt32, _ buckets: UnsafeBufferPointer<UInt64>, sum: Double) {
        add(id, .histogram(buckets: Array(buckets), sum: sum))
    }

    func end(_ section: SeriesSection) {}

    private func add(_ id: UInt32, _ value: MetricValue) {
        guard let (family, labels) = series[id] else { return }
        let sample = MetricSample(family: family, labels: labels, value: value)
        heard[heard.count - 1].samples.append(sample)
    }
}

extension TraceProcessor {
    /// Everything there is to tell.
    func allSamples(lsn: LSN) -> [SlotSamples] {
        do { return try SeriesListener().collect(self, all: true, lsn: lsn) } catch {
            Issue.record("\(error)")
            return []
        }
    }
}
