package import TraceModel

/// One finding, as it goes to the anomalies file. Views are borrowed for the call only.
package struct AnomalyRow {
    package var rule: StaticString
    package var host: HostID
    package var pid: UInt32
    package var process: ByteView
    package var ts: EpochNanoseconds
    package var value: Double
    package var baseline: Double
    package var score: Double
    /// 0–1.
    package var severity: Double
    package var message: ByteView

    package init(
        rule: StaticString, host: HostID, pid: UInt32, process: ByteView, ts: EpochNanoseconds, value: Double,
        baseline: Double, score: Double, severity: Double, message: ByteView
    ) {
        self.rule = rule
        self.host = host
        self.pid = pid
        self.process = process
        self.ts = ts
        self.value = value
        self.baseline = baseline
        self.score = score
        self.severity = severity
        self.message = message
    }
}
