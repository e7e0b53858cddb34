/// The medians over the runs of a load at one server.
package struct ServerFigures: Sendable, Codable {
    package let eventsPerSecond: Double
    package let processedEventsPerSecond: Double?
    package let wireBytesPerEvent: Double
    package let ackP50Milliseconds: Double
    package let ackP99Milliseconds: Double
    package let ackMaxMilliseconds: Double
    package let diskSilenceMilliseconds: Double?
    /// By process; the peaks are those of the process's whole life.
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

    /// Of all processes but the aggregator, whose work (merging, metrics) has a line of its own.
    package var cpuMicrosecondsPerEvent: Double {
        sum { $0.name == "aggregator" ? 0 : $0.cpuMicrosecondsPerEvent }
    }

    package var writtenBytesPerEvent: Double { sum(\.writtenBytesPerEvent) }

    package var peakMegabytes: Double { sum(\.peakMegabytes) }

    private func sum(_ value: (RunFigures.Share) -> Double) -> Double {
        processes.reduce(0) { $0 + value($1) }
    }
}
