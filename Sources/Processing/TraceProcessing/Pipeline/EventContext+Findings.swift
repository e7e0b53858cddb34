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

        /// Whether it is more severe than another one of its rule, or as severe and its value is greater.
        func isWorse(than other: Finding) -> Bool {
            severity != other.severity ? severity > other.severity : value > other.value
        }

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

    @inline(__always) func isEnabled(_ rule: RuleID) -> Bool { rules.pointee.isEnabled(rule) }

    @inline(__always) func threshold(_ threshold: Threshold) -> Double { rules.pointee[threshold] }

    @inline(__always) func cooldown(_ rule: RuleID) -> Int64 { rules.pointee.cooldown(of: rule) }

    /// How severe it is to be so many times at a threshold: 0.5 at it, 1 from ten times on.
    static func severity(ratio: Double) -> Double {
        guard ratio > 0 else { return 0 }
        return min(1, max(0, 0.5 + 0.5 * log10(ratio)))
    }

    /// One decimal is enough for people to read.
    static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// Records a finding of ours: counted, in the trace, in the anomalies file. What the cool-down before it suppressed
    /// is recorded first; a finding that is suppressed itself waits for the end of its cool-down. `key` is what the rule
    /// tells apart within the process, as its cool-downs do; `name` is the process's, empty where it has none. Findings
    /// that are recorded are rare, so that a text may be made for each.
    @inline(never) func raise(
        _ finding: Finding,
        _ verdict: FindingVerdict,
        key: UInt64 = 0,
        process name: ByteView,
        _ message: @autoclosure () -> String
    ) {
        switch verdict {
        case .raised:
            if !suppressed.pointee.isEmpty,
                let group = suppressed.pointee.take(finding.rule, key: key)
            {
                record(group, process: name)
            }
            var message = message()
            message.withUTF8 {
                let message = RawBuffer.shown(ByteView(UnsafeRawBufferPointer($0)))
                withName(name) { record(finding, process: $0, message: message) }
            }
        case .suppressed(let since):
            let (until, overflow) = since.addingReportingOverflow(cooldown(finding.rule))
            suppressed.pointee.add(
                finding,
                key: key,
                since: since,
                until: overflow ? .max : until,
                message: message
            )
            totals.pointee.hasSuppressed = true
        }
    }

    // MARK: Suppressed findings

    /// Raises what was suppressed by cool-downs that are over at the context's time; false where there is none.
    func raiseEnded(process name: ByteView) -> Bool {
        let ended = suppressed.pointee.takeEnded(at: time)
        for group in ended { record(group, process: name) }
        return !ended.isEmpty
    }

    /// Raises all that is suppressed, as the process ends and its cool-downs with it; false where there is none.
    @discardableResult func raiseSuppressed(process name: ByteView) -> Bool {
        let groups = suppressed.pointee.takeAll()
        for group in groups { record(group, process: name) }
        return !groups.isEmpty
    }

    private func record(_ group: SuppressedFindings.Group, process name: ByteView) {
        // The rules may have been changed since.
        guard isEnabled(group.worst.rule) else { return }
        group.summary.withUnsafeBytes { message in
            withName(name) { record(group.worst, process: $0, message: ByteView(message)) }
        }
    }

    // MARK: Records

    /// Each of the agent's findings as one of ours. An event's first two are always; each further one needs so much text of
    /// all up to it that what is written keeps to what was sent. Others stand in the event's own row only, and are counted.
    func recordFindings(_ anomalies: AgentAnomalies, process name: ByteView) {
        withName(name) { name in
            var textBytes = Limits.eventFindingsMin * Limits.findingTextBytesMin
            for anomaly in anomalies {
                textBytes += anomaly.description.count
                guard textBytes >= Limits.findingTextBytesMin else {
                    totals.pointee.findingsUnrecorded += 1
                    continue
                }
                textBytes -= Limits.findingTextBytesMin
                // By contract 0 to 1; the score has it as sent.
                let severity = anomaly.severity.isNaN ? 0 : min(max(anomaly.severity, 0), 1)
                record(
                    Finding(rule: .agent, score: anomaly.severity, severity: severity),
                    process: name,
                    message: RawBuffer.shown(anomaly.description)
                )
            }
        }
    }

    /// The process may have got its name long ago.
    private func withName(_ name: ByteView, _ body: (ByteView) -> Void) {
        guard name.isEmpty else {
            return body(RawBuffer.shown(name, bytesMax: Limits.shownNameBytesMax))
        }
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
