/// All that decides about one process's findings: which rules judge it, their thresholds, how long they
/// keep quiet after a finding. Trivial, so that it can be read on the hot path without counting references.
@usableFromInline
package struct Thresholds: BitwiseCopyable, Sendable {
    /// After a finding its key raises no other one of the rule for so long.
    static let cooldownSeconds = 60.0

    @usableFromInline
    var values = InlineArray<49, Double>(repeating: 0)
    /// Nanoseconds by rule.
    @usableFromInline
    var cooldowns = InlineArray<25, Int64>(repeating: 0)
    /// One bit a rule.
    @usableFromInline
    var enabled: UInt32 = .max

    /// The defaults.
    package init() {
        for threshold in Threshold.allCases {
            values[Int(threshold.rawValue)] = threshold.definition.standard
        }
        for rule in RuleID.allCases { setCooldown(of: rule, seconds: Self.cooldownSeconds) }
    }

    @inlinable
    package subscript(threshold: Threshold) -> Double {
        get { values[Int(threshold.rawValue)] }
        set { values[Int(threshold.rawValue)] = newValue }
    }

    @inlinable
    package func isEnabled(_ rule: RuleID) -> Bool { enabled & bit(rule) != 0 }

    package mutating func setEnabled(_ rule: RuleID, _ isEnabled: Bool) {
        if isEnabled { enabled |= bit(rule) } else { enabled &= ~bit(rule) }
    }

    /// Nanoseconds.
    @inlinable
    package func cooldown(of rule: RuleID) -> Int64 { cooldowns[Int(rule.rawValue)] }

    package mutating func setCooldown(of rule: RuleID, seconds: Double) {
        cooldowns[Int(rule.rawValue)] = Int64(seconds * 1e9)
    }

    @inlinable
    func bit(_ rule: RuleID) -> UInt32 { 1 << UInt32(rule.rawValue) }
}
