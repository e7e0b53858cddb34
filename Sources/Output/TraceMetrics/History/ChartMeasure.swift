import TraceModel

/// A quantity that the charts show, of one host or of all together. Raw values are stored; never reuse one.
package enum ChartMeasure: UInt8, CaseIterable, Sendable {
    case events = 0
    case functionCalls = 1
    case functionP99 = 2
    case cpu = 3
    case memory = 4
    case network = 5
    case io = 6
    case gpuMemory = 7
    case gpuLaunches = 8
    case anomalies = 9

    /// The name in queries.
    package var name: String {
        switch self {
        case .events: "events"
        case .functionCalls: "function_calls"
        case .functionP99: "function_p99"
        case .cpu: "cpu"
        case .memory: "memory"
        case .network: "network"
        case .io: "io"
        case .gpuMemory: "gpu_memory"
        case .gpuLaunches: "gpu_launches"
        case .anomalies: "anomalies"
        }
    }

    package init?(name: String) {
        guard let found = Self.allCases.first(where: { TextKey.areEqual($0.name, name) }) else {
            return nil
        }
        self = found
    }

    package var unit: String {
        switch self {
        case .events: "events/s"
        case .functionCalls: "calls/s"
        case .functionP99: "s"
        case .cpu: "CPUs"
        case .memory, .gpuMemory: "bytes"
        case .network, .io: "bytes/s"
        case .gpuLaunches: "launches/s"
        case .anomalies: "anomalies/s"
        }
    }

    /// The family whose series are added up; of CPU time, those of the state `on`.
    package var family: MetricFamily {
        switch self {
        case .events: .eventsTotal
        case .functionCalls: .functionCallsTotal
        case .functionP99: .functionDurationSeconds
        case .cpu: .cpuTimeSecondsTotal
        case .memory: .memoryUsageBytes
        case .network: .networkBytesTotal
        case .io: .ioBytesTotal
        case .gpuMemory: .gpuMemoryBytes
        case .gpuLaunches: .gpuKernelLaunchesTotal
        case .anomalies: .anomaliesTotal
        }
    }

    /// Whether a counter's first value has been counted since the series began. Counters that follow an agent's have
    /// what the process did before it was first sampled.
    var countsFromZero: Bool {
        switch self {
        case .cpu, .network, .io: false
        default: true
        }
    }

    /// Whether several points become one by their maximum: a quantile has no mean.
    var isCombinedByMaximum: Bool { self == .functionP99 }

    /// The measure that each family contributes to, by catalog position.
    static let ofFamilies: [ChartMeasure?] = MetricCatalog.families.map { family in
        allCases.first { $0.family == family }
    }
}
