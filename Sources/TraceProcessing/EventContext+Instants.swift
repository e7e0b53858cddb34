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
}
