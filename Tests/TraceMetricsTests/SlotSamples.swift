import TraceMetrics
import TraceModel

/// The samples of one slot's processes, as a worker reports them in a section.
struct SlotSamples {
    var slot: UInt8
    var lsn: LSN
    var isFull: Bool
    var samples: [MetricSample]
}

/// A process's own message and its series.
struct Report {
    var snapshot: MetricSnapshot
    var slots: [SlotSamples]
    var renewedLSN: LSN = 0

    /// The series as a new worker sends them: all defined.
    var series: MetricSeries {
        var writer = SeriesWriter()
        writer.begin()
        for slot in slots { writer.write(slot) }
        return MetricSeries(
            process: snapshot.process,
            incarnation: snapshot.incarnation,
            begins: true,
            sections: writer.take(),
            renewedLSN: renewedLSN
        )
    }
}

extension SeriesWriter {
    mutating func write(_ slot: SlotSamples) {
        beginSection(slot: slot.slot, lsn: slot.lsn, isFull: slot.isFull)
        for sample in slot.samples { _ = write(sample, SeriesSet()) }
        _ = endSection()
    }

    /// Writes one series as its own group. Labels that identify the process go where a worker takes them from.
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
                use(
                    host: host,
                    pid: pid,
                    name: ByteView(UnsafeRawBufferPointer(process)),
                    isNew: false
                )
                begin(set, count: 1, name: ByteView(UnsafeRawBufferPointer(name)))
                add(sample.family, sample.value, texts)
                return end()
            }
        }
    }
}

extension MetricStore {
    mutating func apply(_ reported: Report) throws {
        try apply(reported.snapshot)
        guard !reported.slots.isEmpty else { return }
        _ = try apply(reported.series)
    }
}
