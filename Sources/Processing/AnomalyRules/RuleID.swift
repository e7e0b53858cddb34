package import TraceModel

/// An anomaly rule. Raw values are stored in checkpoints, so they never change and new ones are appended.
@usableFromInline package enum RuleID: UInt8, CaseIterable, Sendable {
    /// Findings of the agent itself.
    case agent = 0
    case slowCall, durationOutlier, stuckCall
    case highUtilization, migrationStorm, numaMigration, cpuHotspot
    case leak, largeAllocation, unmatchedFree, doubleFree, churn, fragmentation
    case rateSpike, retransmits, errors, connectionChurn, hostScan, portScan
    case slowIO, latencyOutlier, throughputSpike
    case memoryGrowth, transferDrop

    /// The number of rules, which is the length of arrays indexed by raw value.
    package static var count: Int { 25 }

    /// The resource whose events the rule evaluates; nil for agents' findings, which several resources have.
    package var resource: Resource? {
        switch self {
        case .agent: nil
        case .slowCall, .durationOutlier, .stuckCall: .function
        case .highUtilization, .migrationStorm, .numaMigration, .cpuHotspot: .cpu
        case .leak, .largeAllocation, .unmatchedFree, .doubleFree, .churn, .fragmentation: .memory
        case .rateSpike, .retransmits, .errors, .connectionChurn, .hostScan, .portScan: .network
        case .slowIO, .latencyOutlier, .throughputSpike: .io
        case .memoryGrowth, .transferDrop: .gpu
        }
    }

    /// The name in files, labels and the configuration.
    package var name: StaticString {
        switch self {
        case .agent: "agent"
        case .slowCall: "slow_call"
        case .durationOutlier: "duration_outlier"
        case .stuckCall: "stuck_call"
        case .highUtilization: "high_utilization"
        case .migrationStorm: "migration_storm"
        case .numaMigration: "numa_migration"
        case .cpuHotspot: "cpu_hotspot"
        case .leak: "leak"
        case .largeAllocation: "large_allocation"
        case .unmatchedFree: "unmatched_free"
        case .doubleFree: "double_free"
        case .churn: "churn"
        case .fragmentation: "fragmentation"
        case .rateSpike: "rate_spike"
        case .retransmits: "retransmits"
        case .errors: "errors"
        case .connectionChurn: "connection_churn"
        case .hostScan: "host_scan"
        case .portScan: "port_scan"
        case .slowIO: "slow_io"
        case .latencyOutlier: "latency_outlier"
        case .throughputSpike: "throughput_spike"
        case .memoryGrowth: "memory_growth"
        case .transferDrop: "transfer_drop"
        }
    }

    package init?(resource: Resource, name: String) {
        let match = RuleID.allCases.first { $0.resource == resource && "\($0.name)" == name }
        guard let match else { return nil }
        self = match
    }
}
