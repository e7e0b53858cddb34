import AnomalyRules
import Glibc
import SystemIO
import TraceFiles
import TraceModel
import TraceWire

extension EventContext {
    /// What a rule found, as text and numbers.
    struct Finding {
        let rule: RuleID
        var value = Double.nan
        var baseline = Double.nan
        var score = Double.nan
        /// 0 to 1.
        var severity: Double

        /// Of a value above its limit.
        static func above(_ rule: RuleID, _ value: Double, _ limit: Double) -> Finding {
            // A limit of 0 is met by anything.
            let ratio = limit > 0 ? value / limit : 1
            return Finding(
                rule: rule,
                value: value,
                baseline: limit,
                score: ratio,
                severity: EventContext.severity(ratio: ratio)
            )
        }
    }

    @inline(__always)
    func isEnabled(_ rule: RuleID) -> Bool { rules.pointee.isEnabled(rule) }

    @inline(__always)
    func threshold(_ threshold: Threshold) -> Double { rules.pointee[threshold] }

    @inline(__always)
    func cooldown(_ rule: RuleID) -> Int64 { rules.pointee.cooldown(of: rule) }

    /// How severe it is to be so many times at a threshold: 0.5 at it, 1 from ten times on.
    static func severity(ratio: Double) -> Double {
        guard ratio > 0 else { return 0 }
        return min(1, max(0, 0.5 + 0.5 * log10(ratio)))
    }

    /// One decimal is enough for people to read.
    static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// Records a finding of ours: counted, in the trace, in the anomalies file. `name` is the process's,
    /// empty where it has none. Findings are rare, so that a text may be made for each.
    func raise(_ finding: Finding, process name: ByteView, _ message: String) {
        var message = message
        message.withUTF8 {
            let message = ByteView(UnsafeRawBufferPointer($0)).cut(at: Limits.nameBytesMax)
            withName(name) { record(finding, process: $0, message: message) }
        }
    }

    /// Each of the agent's findings as one of ours.
    func recordFindings(_ anomalies: AgentAnomalies, process name: ByteView) {
        withName(name) { name in
            for anomaly in anomalies {
                // By contract 0 to 1; the score has it as sent.
                let severity = anomaly.severity.isNaN ? 0 : min(max(anomaly.severity, 0), 1)
                record(
                    Finding(rule: .agent, score: anomaly.severity, severity: severity),
                    process: name,
                    message: anomaly.description.cut(at: Limits.nameBytesMax)
                )
            }
        }
    }

    private func withName(_ name: ByteView, _ body: (ByteView) -> Void) {
        guard name.isEmpty else { return body(name) }
        guard givenName.isEmpty else { return body(givenName.view) }
        var text = "pid-\(pid)"
        text.withUTF8 { body(ByteView(UnsafeRawBufferPointer($0))) }
    }

    private func record(_ finding: Finding, process: ByteView, message: ByteView) {
        totals.pointee.findings[Int(finding.rule.rawValue)] += 1
        totals.pointee.isDirty = true
        files.appendAnomaly(
            AnomalyRow(
                rule: finding.rule.name,
                host: host,
                pid: pid,
                process: process,
                ts: stamp,
                value: finding.value,
                baseline: finding.baseline,
                score: finding.score,
                severity: finding.severity,
                message: message
            )
        )
        let rule = ByteView(finding.rule.name)
        var text = beginEvent(.instant, "anomaly", name: EventText(rule))
        text.argument("rule", uncounted: rule)
        text.argument("severity", finding.severity)
        if finding.rule == .agent {
            text.argument("score", finding.score)
        } else {
            text.argument("value", finding.value)
            text.argument("baseline", finding.baseline)
            text.argument("score", finding.score)
        }
        text.argument("message", uncounted: message)
        endInstant(text)
    }
}
