/// A number that a rule compares with.
@usableFromInline package enum Threshold: UInt8, CaseIterable, Sendable {
    case slowCallMilliseconds
    case durationZScore, durationSamplesMin
    case stuckCallSeconds
    case utilizationRaisePercent, utilizationClearPercent, utilizationWindowSeconds
    case migrationsRaisePerSecond, migrationsClearPerSecond
    case numaRaisePerSecond, numaClearPerSecond
    case hotspotRaisePercent, hotspotClearPercent, hotspotCPUsMin
    case leakPercentPerHour, leakSpanSeconds, leakRisingPercent, leakAgeMilliseconds
    case largeAllocationMebibytes
    case churnRaisePerSecond, churnClearPerSecond
    case fragmentationRaiseScore, fragmentationClearScore
    case rateSpikeZScore, rateSpikeSamplesMin, rateSpikeBytesPerSecond, rateSpikeFactorMin
    case retransmitsWarnPercent, retransmitsSeverePercent, retransmitsPacketsMin
    case connectionChurnFactor, connectionChurnMeanMin
    case hostScanHosts, hostScanWindowSeconds
    case portScanPorts, portScanWindowSeconds
    case slowIOMilliseconds
    case latencyZScore, latencySamplesMin
    case throughputZScore, throughputSamplesMin, throughputBytesPerSecond, throughputFactorMin
    case gpuGrowthPercentPerHour, gpuGrowthSpanSeconds, gpuGrowthRisingPercent
    case transferDropPercent, transferClearPercent, transferSamplesMin

    /// The number of thresholds, which is the length of arrays indexed by raw value.
    package static var count: Int { 49 }

    /// A threshold's name in the configuration, its default and its range.
    package struct Definition: Sendable {
        package let rule: RuleID
        package let name: String
        package let standard: Double
        package let range: ClosedRange<Double>
    }

    package var definition: Definition {
        func define(
            _ rule: RuleID,
            _ name: String,
            _ standard: Double,
            _ range: ClosedRange<Double>
        ) -> Definition {
            Definition(rule: rule, name: name, standard: standard, range: range)
        }
        let percent = 0.0...100_000
        let rate = 0.0...1e15
        let samples = Double(Ewma.samplesMin)...1e6
        let score = 1.0...1_000
        let day = 1.0...86_400
        return switch self {
        case .slowCallMilliseconds: define(.slowCall, "duration_ms", 100, 0...1e9)
        case .durationZScore: define(.durationOutlier, "z_score", 4, score)
        case .durationSamplesMin: define(.durationOutlier, "samples_min", 30, samples)
        case .stuckCallSeconds: define(.stuckCall, "open_s", 30, day)
        case .utilizationRaisePercent: define(.highUtilization, "raise_percent", 85, percent)
        case .utilizationClearPercent: define(.highUtilization, "clear_percent", 75, percent)
        case .utilizationWindowSeconds: define(.highUtilization, "window_s", 600, 10...86_400)
        case .migrationsRaisePerSecond: define(.migrationStorm, "raise_per_s", 1_000, rate)
        case .migrationsClearPerSecond: define(.migrationStorm, "clear_per_s", 800, rate)
        case .numaRaisePerSecond: define(.numaMigration, "raise_per_s", 10, rate)
        case .numaClearPerSecond: define(.numaMigration, "clear_per_s", 8, rate)
        case .hotspotRaisePercent: define(.cpuHotspot, "raise_percent", 90, percent)
        case .hotspotClearPercent: define(.cpuHotspot, "clear_percent", 80, percent)
        case .hotspotCPUsMin: define(.cpuHotspot, "cpus_min", 4, 1...1_024)
        case .leakPercentPerHour: define(.leak, "growth_percent_per_h", 10, percent)
        case .leakSpanSeconds: define(.leak, "span_s", 600, 40...86_400)
        case .leakRisingPercent: define(.leak, "rising_percent", 80, 0...100)
        case .leakAgeMilliseconds: define(.leak, "age_ms_min", 500, 0...1e9)
        case .largeAllocationMebibytes: define(.largeAllocation, "size_mib", 64, 0...1e12)
        case .churnRaisePerSecond: define(.churn, "raise_per_s", 100_000, rate)
        case .churnClearPerSecond: define(.churn, "clear_per_s", 80_000, rate)
        case .fragmentationRaiseScore: define(.fragmentation, "raise_score", 70, percent)
        case .fragmentationClearScore: define(.fragmentation, "clear_score", 60, percent)
        case .rateSpikeZScore: define(.rateSpike, "z_score", 4, score)
        case .rateSpikeSamplesMin: define(.rateSpike, "samples_min", 30, samples)
        case .rateSpikeBytesPerSecond: define(.rateSpike, "bytes_per_s_min", 1_048_576, rate)
        // Traffic that doubles for a second is nothing unusual, however even it was before.
        case .rateSpikeFactorMin: define(.rateSpike, "factor_min", 3, score)
        case .retransmitsWarnPercent: define(.retransmits, "warn_percent", 1, percent)
        case .retransmitsSeverePercent: define(.retransmits, "severe_percent", 5, percent)
        case .retransmitsPacketsMin: define(.retransmits, "packets_min", 100, 1...1e9)
        case .connectionChurnFactor: define(.connectionChurn, "factor", 10, 1...1e6)
        case .connectionChurnMeanMin: define(.connectionChurn, "mean_per_s_min", 5, rate)
        case .hostScanHosts: define(.hostScan, "hosts", 25, 2...256)
        case .hostScanWindowSeconds: define(.hostScan, "window_s", 300, day)
        case .portScanPorts: define(.portScan, "ports", 20, 2...256)
        case .portScanWindowSeconds: define(.portScan, "window_s", 60, day)
        case .slowIOMilliseconds: define(.slowIO, "latency_ms", 100, 0...1e9)
        case .latencyZScore: define(.latencyOutlier, "z_score", 4, score)
        case .latencySamplesMin: define(.latencyOutlier, "samples_min", 30, samples)
        case .throughputZScore: define(.throughputSpike, "z_score", 4, score)
        case .throughputSamplesMin: define(.throughputSpike, "samples_min", 30, samples)
        case .throughputBytesPerSecond: define(.throughputSpike, "bytes_per_s_min", 1_048_576, rate)
        case .throughputFactorMin: define(.throughputSpike, "factor_min", 3, score)
        case .gpuGrowthPercentPerHour: define(.memoryGrowth, "growth_percent_per_h", 10, percent)
        case .gpuGrowthSpanSeconds: define(.memoryGrowth, "span_s", 600, 40...86_400)
        case .gpuGrowthRisingPercent: define(.memoryGrowth, "rising_percent", 80, 0...100)
        case .transferDropPercent: define(.transferDrop, "ratio_percent", 25, 0...100)
        case .transferClearPercent: define(.transferDrop, "clear_percent", 50, 0...100_000)
        case .transferSamplesMin: define(.transferDrop, "samples_min", 30, samples)
        }
    }

    /// In each pair, the first must not be greater than the second.
    static let ordered: [(Threshold, Threshold)] = [
        (.utilizationClearPercent, .utilizationRaisePercent),
        (.migrationsClearPerSecond, .migrationsRaisePerSecond),
        (.numaClearPerSecond, .numaRaisePerSecond), (.hotspotClearPercent, .hotspotRaisePercent),
        (.churnClearPerSecond, .churnRaisePerSecond),
        (.fragmentationClearScore, .fragmentationRaiseScore),
        (.retransmitsWarnPercent, .retransmitsSeverePercent),
        (.transferDropPercent, .transferClearPercent),
    ]
}

/// All settings of the rules for one process: which rules are enabled, their thresholds, and their cool-downs. Trivial,
/// so that the hot path can read it without reference counting.
@usableFromInline package struct Thresholds: BitwiseCopyable, Sendable {
    /// The default cool-down, during which a key raises no other finding of the rule.
    static let cooldownSeconds = 60.0

    @usableFromInline var values = InlineArray<49, Double>(repeating: 0)
    /// Nanoseconds by rule.
    @usableFromInline var cooldowns = InlineArray<25, Int64>(repeating: 0)
    /// One bit for each rule.
    @usableFromInline var enabled: UInt32 = .max

    /// Sets the defaults.
    package init() {
        for threshold in Threshold.allCases {
            values[Int(threshold.rawValue)] = threshold.definition.standard
        }
        for rule in RuleID.allCases { setCooldown(of: rule, seconds: Self.cooldownSeconds) }
    }

    @inlinable package subscript(threshold: Threshold) -> Double {
        get { values[Int(threshold.rawValue)] }
        set { values[Int(threshold.rawValue)] = newValue }
    }

    /// Whether a rule is enabled.
    @inlinable package func isEnabled(_ rule: RuleID) -> Bool { enabled & bit(rule) != 0 }

    /// Enables or disables a rule.
    package mutating func setEnabled(_ rule: RuleID, _ isEnabled: Bool) {
        if isEnabled { enabled |= bit(rule) } else { enabled &= ~bit(rule) }
    }

    /// Returns a rule's cool-down in nanoseconds.
    @inlinable package func cooldown(of rule: RuleID) -> Int64 { cooldowns[Int(rule.rawValue)] }

    /// Sets a rule's cool-down.
    package mutating func setCooldown(of rule: RuleID, seconds: Double) {
        cooldowns[Int(rule.rawValue)] = Int64(seconds * 1e9)
    }

    @inlinable func bit(_ rule: RuleID) -> UInt32 { 1 << UInt32(rule.rawValue) }
}
