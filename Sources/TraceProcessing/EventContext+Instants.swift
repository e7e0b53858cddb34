import SystemIO
import TraceFiles
import TraceModel
import TraceWire

extension EventContext {
    /// Closes the arguments and an event of phase `i`, and ends its row.
    @inline(__always)
    func endInstant() {
        if json.text.lastByte == UInt8(ascii: ",") { json.text.truncate(to: json.text.count - 1) }
        json.text.append("},\"s\":\"t\"}")
        json.endRow(ts: time, pid: pid)
    }

    /// A counter track's values, one JSON row: `arguments` appends finite numbers only, at least one.
    @inline(__always)
    func counter(_ name: StaticString, _ arguments: (inout RawBuffer) -> Void) {
        json.text.appendEventStart(ts: time, pid: pid)
        json.text.append("\"ph\":\"C\",\"name\":\"")
        json.text.append(name)
        json.text.append("\",\"args\":{")
        arguments(&json.text)
        endEvent(&json.text)
        json.endRow(ts: time, pid: pid)
    }

    /// The agent's findings as an argument of the event that brought them.
    func argument(_ anomalies: AgentAnomalies) {
        json.text.append("\"anomalies\":[")
        for anomaly in anomalies {
            json.text.append("{\"description\":")
            count(replaced: json.text.appendJSONString(cut(anomaly.description)))
            json.text.append(",\"severity\":")
            json.text.appendJSONDouble(anomaly.severity)
            json.text.append("},")
        }
        json.text.truncate(to: json.text.count - 1)
        json.text.append("],")
    }

    /// Each of the agent's findings as one of ours: in the trace, in the anomalies file, counted. `name`
    /// is the process's, empty where it has none.
    func recordFindings(_ anomalies: AgentAnomalies, process name: ByteView) {
        guard name.isEmpty else {
            for anomaly in anomalies { recordFinding(anomaly, process: name) }
            return
        }
        var text = "pid-\(pid)"
        text.withUTF8 {
            let name = ByteView(UnsafeRawBufferPointer($0))
            for anomaly in anomalies { recordFinding(anomaly, process: name) }
        }
    }

    private func recordFinding(_ anomaly: AgentAnomaly, process: ByteView) {
        let message = anomaly.description.cut(at: Limits.nameBytesMax)
        // By contract 0 to 1; the score has it as sent.
        let severity = anomaly.severity.isNaN ? 0 : min(max(anomaly.severity, 0), 1)
        totals.pointee.agentAnomalies += 1
        files.appendAnomaly(
            AnomalyRow(
                rule: "agent",
                host: host,
                pid: pid,
                process: process,
                ts: time,
                value: .nan,
                baseline: .nan,
                score: anomaly.severity,
                severity: severity,
                message: message
            )
        )
        beginEvent(&json.text, "i", name: ByteView("agent"), category: "anomaly")
        json.text.argument("rule", ByteView("agent"), self)
        json.text.argument("severity", severity)
        json.text.argument("score", anomaly.severity)
        json.text.argument("message", message, self)
        endInstant()
    }
}
