import AnomalyRules
import Glibc
import SystemIO
import TraceFiles
import TraceModel
import TraceWire

extension EventContext {
    /// A rule's finding, as text and numbers.
    struct Finding {
        let rule: RuleID
        var value = Double.nan
        var baseline = Double.nan
        var score = Double.nan
        /// The severity, from 0 to 1.
        var severity: Double

        /// Orders findings of one rule by severity, then by value.
        func isWorse(than other: Finding) -> Bool {
            severity != other.severity ? severity > other.severity : value > other.value
        }

        /// Returns a finding for a value above its limit.
        static func above(_ rule: RuleID, _ value: Double, _ limit: Double) -> Finding {
            // Any value meets a limit of 0.
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

    /// Returns the severity for a multiple of a threshold: 0.5 at the threshold, 1 from ten times the threshold on.
    static func severity(ratio: Double) -> Double {
        guard ratio > 0 else { return 0 }
        return min(1, max(0, 0.5 + 0.5 * log10(ratio)))
    }

    /// Formats a value with one decimal, for messages.
    static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    /// Records a finding of this server's rules: it is counted, and written to the trace and the anomalies file.
    /// Findings that the previous cool-down suppressed are recorded first. A finding that is suppressed itself waits
    /// for the end of its cool-down. `key` distinguishes subjects of the rule within the process, as its cool-downs
    /// do. `name` is the process's, empty if it has none. Recorded findings are rare, so allocating a text for each
    /// is acceptable.
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

    /// Raises the suppressed findings whose cool-down is over at the context's time. Returns false if there are none.
    func raiseEnded(process name: ByteView) -> Bool {
        let ended = suppressed.pointee.takeEnded(at: time)
        for group in ended { record(group, process: name) }
        return !ended.isEmpty
    }

    /// Raises all suppressed findings, as the process and its cool-downs end. Returns false if there are none.
    @discardableResult func raiseSuppressed(process name: ByteView) -> Bool {
        let groups = suppressed.pointee.takeAll()
        for group in groups { record(group, process: name) }
        return !groups.isEmpty
    }

    private func record(_ group: SuppressedFindings.Group, process name: ByteView) {
        // The rules may have changed since the finding was suppressed.
        guard isEnabled(group.worst.rule) else { return }
        group.summary.withUnsafeBytes { message in
            withName(name) { record(group.worst, process: $0, message: ByteView(message)) }
        }
    }

    // MARK: Records

    /// Records each of the agent's findings as one of this server's. The first two of an event are always recorded.
    /// Each further one requires a minimum of text in all findings up to it, so that the output stays in proportion
    /// to the input. The others appear only in the event's own row, and are counted.
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
                // The contract says 0 to 1. `score` keeps the value as sent.
                let severity = anomaly.severity.isNaN ? 0 : min(max(anomaly.severity, 0), 1)
                record(
                    Finding(rule: .agent, score: anomaly.severity, severity: severity),
                    process: name,
                    message: RawBuffer.shown(anomaly.description)
                )
            }
        }
    }

    /// Calls `body` with the process's name. It is repaired first, as it may date from an earlier batch.
    private func withName(_ name: ByteView, _ body: (ByteView) -> Void) {
        guard name.isEmpty else {
            return body(RawBuffer.shown(name, bytesMax: Limits.shownNameBytesMax))
        }
        guard givenName.isEmpty else { return body(givenName.view) }
        var text = "pid-\(pid)"
        text.withUTF8 { body(ByteView(UnsafeRawBufferPointer($0))) }
    }

    private func record(_ finding: Finding, process: ByteView, message: ByteView) {
        texts.hosts.count(finding.rule, of: host, in: totals)
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
