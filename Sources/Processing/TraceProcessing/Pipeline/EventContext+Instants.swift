import SystemIO
import TraceFiles
import TraceModel
import TraceWire

extension EventContext {
    /// Closes the arguments and an event of phase `i`, and ends its row.
    @inline(__always) func endInstant(_ text: RowWriter) {
        var text = text
        text.dropComma()
        text.append("},\"s\":\"t\"}")
        json.endRow(text, ts: stamp, pid: pid)
    }

    /// Writes a counter track's values as one JSON row. `arguments` must append at least one number, and finite ones
    /// only.
    @inline(__always) func counter(_ name: StaticString, _ arguments: (inout RowWriter) -> Void) {
        var text = beginEvent()
        text.append("\"ph\":\"C\",\"name\":\"")
        text.append(name)
        text.append("\",\"args\":{")
        arguments(&text)
        endEvent(text)
    }

    /// Appends the agent's findings as an argument of the event that brought them.
    func argument(_ anomalies: AgentAnomalies, _ text: inout RowWriter) {
        text.append("\"anomalies\":[")
        for anomaly in anomalies {
            text.append("{\"description\":")
            count(replaced: text.appendJSONString(cut(anomaly.description)))
            text.append(",\"severity\":")
            text.appendJSONDouble(anomaly.severity)
            text.append("},")
        }
        text.dropComma()
        text.append("],")
    }
}
