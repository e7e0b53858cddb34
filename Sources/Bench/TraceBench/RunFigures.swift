/// What one run of a load measured at one server.
package struct RunFigures: Sendable, Codable {
    /// What one process of the server used for it.
    package struct Share: Sendable, Codable {
        package let name: String
        /// CPU time, from the first batch until all is written, over the events acknowledged.
        package let cpuMicrosecondsPerEvent: Double
        package let writtenBytesPerEvent: Double
        package let residentMegabytes: Double
        package let peakMegabytes: Double
    }

    package let events: Int
    package let refusedBatches: Int
    /// Acknowledged, which means durable.
    package let eventsPerSecond: Double
    /// From the first batch until the workers have applied the last event; nil where not watched.
    package let processedEventsPerSecond: Double?
    package let wireBytesPerEvent: Double
    package let ackP50Milliseconds: Double
    package let ackP99Milliseconds: Double
    package let ackMaxMilliseconds: Double
    /// The longest time in which the disk finished nothing although something lay with it, while batches were sent; nil
    /// where nobody looked.
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
                writtenBytesPerEvent:
                    Double(after[index].writtenBytes - before[index].writtenBytes) / count,
                residentMegabytes: Double(after[index].residentBytes) / 1e6,
                peakMegabytes: Double(after[index].peakBytes) / 1e6
            )
        }
    }
}
