import Glibc
import OperatorTools

/// Returns the median (the mean of the two middle values where their number is even); 0 of no values.
func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The kernel's figures of one process.
package struct ProcessUsage: Sendable {
    package let cpuSeconds: Double
    /// Bytes passed to `write` and similar calls. (The kernel's count of bytes sent to the disk is too high: it counts
    /// a large folio completely for each write into it.)
    package let writtenBytes: Int
    package let residentBytes: Int
    /// Peak memory. Of memory shared with other processes (libraries, as a rule) only this process's present part is
    /// counted, so that the sum over processes is their memory together.
    package let peakBytes: Int

    /// Reads the figures; nil where the process is gone or not accessible.
    package init?(pid: Int) {
        let proc = ProcDirectory()
        guard let process = UInt32(exactly: pid),
            let stat = proc.contents(of: process, "stat").flatMap(ProcessStat.init),
            let memory = proc.contents(of: process, "status").flatMap(ProcessMemory.init),
            let written = proc.contents(of: process, "io").flatMap({
                FieldScanner.number(named: "wchar:", in: $0)
            }),
            let part = proc.contents(of: process, "smaps_rollup").flatMap({
                FieldScanner.number(named: "Pss:", in: $0)
            }
            )
        else { return nil }
        cpuSeconds = Double(stat.cpuTicks) / Double(sysconf(Int32(_SC_CLK_TCK)))
        writtenBytes = Int(written)
        residentBytes = Int(memory.resident)
        peakBytes = Int(memory.peak) - residentBytes + Int(part) * 1_024
    }
}

/// The result of one run of a load at one server.
package struct RunFigures: Sendable, Codable {
    /// The usage of one process of the server.
    package struct Share: Sendable, Codable {
        package let name: String
        /// CPU time, from the first batch until everything is written, divided by the acknowledged events.
        package let cpuMicrosecondsPerEvent: Double
        package let writtenBytesPerEvent: Double
        package let residentMegabytes: Double
        package let peakMegabytes: Double
    }

    package let events: Int
    package let refusedBatches: Int
    /// Rate of acknowledged, and therefore durable, events.
    package let eventsPerSecond: Double
    /// Rate from the first batch until the workers have applied the last event; nil where it was not measured.
    package let processedEventsPerSecond: Double?
    package let wireBytesPerEvent: Double
    package let ackP50Milliseconds: Double
    package let ackP99Milliseconds: Double
    package let ackMaxMilliseconds: Double
    /// The longest time in which the disk completed nothing although requests were pending, while batches were sent;
    /// nil where it was not measured.
    package let diskSilenceMilliseconds: Double?
    /// Empty where the server's processes are not known.
    package let processes: [Share]

    package init(
        _ outcome: LoadOutcome,
        processedSeconds: Double? = nil,
        diskSilenceMilliseconds: Double? = nil,
        members: [String] = [],
        before: [ProcessUsage] = [],
        after: [ProcessUsage] = []
    ) {
        let count = Double(max(1, outcome.events))
        events = outcome.events
        refusedBatches = outcome.refused
        eventsPerSecond = outcome.eventsPerSecond
        processedEventsPerSecond = processedSeconds.map { count / $0 }
        wireBytesPerEvent = Double(outcome.bytes) / count
        ackP50Milliseconds = Double(outcome.latency.quantile(0.5)) / 1e6
        ackP99Milliseconds = Double(outcome.latency.quantile(0.99)) / 1e6
        ackMaxMilliseconds = Double(outcome.latency.maximum) / 1e6
        self.diskSilenceMilliseconds = diskSilenceMilliseconds
        processes = members.indices.map { index in
            Share(
                name: members[index],
                cpuMicrosecondsPerEvent: (after[index].cpuSeconds - before[index].cpuSeconds) * 1e6
                    / count,
                writtenBytesPerEvent: Double(after[index].writtenBytes - before[index].writtenBytes)
                    / count,
                residentMegabytes: Double(after[index].residentBytes) / 1e6,
                peakMegabytes: Double(after[index].peakBytes) / 1e6
            )
        }
    }
}

/// The medians over the runs of a load at one server.
package struct ServerFigures: Sendable, Codable {
    package let eventsPerSecond: Double
    package let processedEventsPerSecond: Double?
    package let wireBytesPerEvent: Double
    package let ackP50Milliseconds: Double
    package let ackP99Milliseconds: Double
    package let ackMaxMilliseconds: Double
    package let diskSilenceMilliseconds: Double?
    /// Usage by process; peaks are over the process's whole life.
    package let processes: [RunFigures.Share]

    package init(medianOf runs: [RunFigures]) {
        func middle(_ value: (RunFigures) -> Double) -> Double { median(runs.map(value)) }
        eventsPerSecond = middle(\.eventsPerSecond)
        let processed = runs.compactMap(\.processedEventsPerSecond)
        processedEventsPerSecond = processed.isEmpty ? nil : median(processed)
        wireBytesPerEvent = middle(\.wireBytesPerEvent)
        ackP50Milliseconds = middle(\.ackP50Milliseconds)
        ackP99Milliseconds = middle(\.ackP99Milliseconds)
        ackMaxMilliseconds = middle(\.ackMaxMilliseconds)
        let silences = runs.compactMap(\.diskSilenceMilliseconds)
        diskSilenceMilliseconds = silences.isEmpty ? nil : median(silences)
        let names = runs.first?.processes.map(\.name) ?? []
        processes = names.indices.map { index in
            RunFigures.Share(
                name: names[index],
                cpuMicrosecondsPerEvent: middle { $0.processes[index].cpuMicrosecondsPerEvent },
                writtenBytesPerEvent: middle { $0.processes[index].writtenBytesPerEvent },
                residentMegabytes: middle { $0.processes[index].residentMegabytes },
                peakMegabytes: middle { $0.processes[index].peakMegabytes }
            )
        }
    }

    /// CPU time of all processes except the aggregator, whose work (merging, metrics) is shown separately.
    package var cpuMicrosecondsPerEvent: Double {
        sum { $0.name == "aggregator" ? 0 : $0.cpuMicrosecondsPerEvent }
    }

    package var writtenBytesPerEvent: Double { sum(\.writtenBytesPerEvent) }

    package var peakMegabytes: Double { sum(\.peakMegabytes) }

    private func sum(_ value: (RunFigures.Share) -> Double) -> Double {
        processes.reduce(0) { $0 + value($1) }
    }
}

/// The result of one load, with what the machine allows in the same minutes.
package struct LoadReport: Sendable, Codable {
    package let plan: LoadPlan
    package let server: ServerFigures
    /// The floor server under the same load.
    package let floor: ServerFigures
    package let disk: DiskProbe
    /// Each run, in order.
    package let serverRuns: [RunFigures]
    package let floorRuns: [RunFigures]

    package init(
        plan: LoadPlan,
        server: ServerFigures,
        floor: ServerFigures,
        disk: DiskProbe,
        serverRuns: [RunFigures],
        floorRuns: [RunFigures]
    ) {
        self.plan = plan
        self.server = server
        self.floor = floor
        self.disk = disk
        self.serverRuns = serverRuns
        self.floorRuns = floorRuns
    }
}
