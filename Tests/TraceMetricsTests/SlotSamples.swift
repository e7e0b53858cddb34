import TraceMetrics
import TraceModel

/// What one slot's processes have to show, sample by sample, as a worker tells it in a section.
struct SlotSamples {
    var slot: UInt8
    var lsn: LSN
    var isFull: Bool
    var samples: [MetricSample]
}

/// A process's message about itself, and its series.
struct Told {
    var snapshot: MetricSnapshot
    var slots: [SlotSamples]
    var renewedLSN: LSN = 0

    /// As a worker that has just begun sends them: every series defined.
    var series: MetricSeries {
        var writer = SeriesWriter()
        writer.begin()
        for slot in slots { writer.write(slot) }
        return MetricSeries(
            process: snapshot.process, incarnation: snapshot.incarnation, begins: true, sections: writer.take(),
            renewedLSN: renewedLSN)
    }
}

extension SeriesWriter {
    mutating func write(_ slot: SlotSamples) {
        beginSection(slot: slot.slot, lsn: slot.lsn, isFull: slot.isFull)
        for sample in slot.samples { _ = write(sample, SeriesSet()) }
        _ = endSection()
    }

    /// One series as a group of its own. Labels that say which process it is go where a worker has them from.
    mutating func write(_ sample: MetricSample, _ set: SeriesSet) -> SeriesSet {
        var texts: [String] = []
        var (host, pid, process, name) = ("", UInt32(0), "", "")
        for (label, value) in zip(sample.family.descriptor.labels, sample.labels) {
            switch label {
            case "host": host = value
            case "pid": pid = UInt32(value) ?? 0
            case "process":
                process = value
                pid = UInt32(value.replacing("pid-", with: "")) ?? pid
            case "function", "kernel", "kernel_name", "kind_str": name = value
            default: texts.append(value)
            }
        }
        return process.withUTF8 { process in
            name.withUTF8 { name in
                use(host: host, pid: pid, name: ByteView(UnsafeRawBufferPointer(process)), isNew: false)
                begin(set, count: 1, name: ByteView(UnsafeRawBufferPointer(name)))
                add(sample.family, sample.value, texts)
                return end()
            }
        }
    }
}

extension MetricStore {
    mutating func apply(_ told: Told) throws {
        try apply(told.snapshot)
        guard !told.slots.isEmpty else { return }
        _ = try apply(told.series)
    }
}
