/// What the traced program does during a run.
package enum Scenario: String, CaseIterable, Sendable {
    /// Twenty busy seconds in which nothing unusual happens: no rule may fire.
    case standard
    /// As `standard`, and the agent's hourly reset of its counters falls into the middle.
    case hourly
    /// Events so far apart that sampling skips none of them, so that both dialects say the same.
    case complete
    /// Twelve quiet minutes with findings in them; sampling skips nothing.
    case anomalies

    /// Microseconds from the start of the run to the reset of the agent's counters, if there is one.
    package var hourlyReset: Int64? {
        self == .hourly ? StandardProgram.pause.lowerBound + 10_000 : nil
    }

    /// The anomaly rules that must fire, once or more.
    package var expectedRules: [ExpectedRule] {
        switch self {
        case .standard, .hourly: []
        case .complete: CompleteProgram.expectedRules
        case .anomalies: AnomalyProgram.expectedRules
        }
    }

    /// All that happens in a run; the same for the same seed.
    package func program(seed: UInt64) -> ProgramRun {
        switch self {
        case .standard, .hourly: StandardProgram.run(seed: seed)
        case .complete: CompleteProgram.run(seed: seed)
        case .anomalies: AnomalyProgram.run(seed: seed)
        }
    }
}

/// An anomaly rule, named as in the metric `trace_anomalies_total`.
package struct ExpectedRule: Codable, Equatable, Sendable {
    package let resource: String
    package let rule: String
}
