import SystemIO
package import TraceModel

// Names, call stacks and anomalies: rows that are not written through a `RowWriter`.
extension TraceFileManager {
    /// Sets the process's name in this window's trace of the host. Once per window and process is enough: the caller
    /// remembers the `window` of its last call. A later name replaces an earlier one.
    package func nameProcess(host: HostID, pid: UInt32, name: ByteView) {
        setName(host, .process(pid), name)
    }

    /// Sets the process's position in viewers, lowest first, in this window's trace of the host.
    package func sortProcess(host: HostID, pid: UInt32, index: Int32) {
        let buffer = json(host)
        buffer.beginWindow()
        buffer.names.sort(pid, index)
    }

    /// Sets a thread's name; otherwise like `nameProcess`.
    package func nameThread(host: HostID, pid: UInt32, tid: UInt32, name: ByteView) {
        setName(host, .thread(pid, tid), name)
    }

    /// Appends one call stack, innermost frame first, with newlines between the frames. Does nothing if there is no
    /// frame.
    package func appendStack(
        host: HostID,
        ts: EpochNanoseconds,
        pid: UInt32,
        process: ByteView,
        frames: ByteView
    ) {
        guard unsafe frames.buffer.contains(where: { $0 != UInt8(ascii: "\n") }) else { return }
        let buffer = stackBuffer(host)
        let name = hosts[host].name
        let start = unsafe SegmentRecord.begin(ts: ts, pid: pid, host: name, in: &buffer.text)
        let lengthAt = unsafe buffer.text.count
        unsafe buffer.text.append(integer: UInt32(0))
        unsafe buffer.text.append(repairing: process)
        unsafe SegmentRecord.end(lengthAt, in: &buffer.text)
        unsafe buffer.text.append(repairing: frames)
        unsafe SegmentRecord.end(start, in: &buffer.text)
        buffer.endRow(ts: ts, pid: pid, host: host.index)
    }

    /// Appends a row to the anomalies of the window.
    package func appendAnomaly(_ row: borrowing AnomalyRow) {
        let host = hosts[row.host]
        let start = unsafe SegmentRecord.begin(
            ts: row.ts,
            pid: row.pid,
            host: host.name,
            in: &anomalies.text
        )
        let lengthAt = unsafe anomalies.text.count
        unsafe anomalies.text.append(integer: UInt32(0))
        unsafe appendJSON(row, host: host, to: &anomalies.text)
        let line = unsafe anomalies.text.bytes[(lengthAt + 4)...]
        unsafe recentFindings.add(
            UnsafeRawBufferPointer(rebasing: line),
            window: window,
            number: anomalies.rowCount
        )
        unsafe SegmentRecord.end(lengthAt, in: &anomalies.text)
        unsafe appendCSV(row, host: host, to: &anomalies.text)
        unsafe SegmentRecord.end(start, in: &anomalies.text)
        anomalies.endRow(ts: row.ts, pid: row.pid, host: row.host.index)
    }

    /// Whether there are findings that `takeRecentFindings` returns.
    package var hasRecentFindings: Bool { !recentFindings.isEmpty }

    /// Returns the findings that were raised since the last call, as far as there was room for them.
    package func takeRecentFindings() -> [FindingLines] { recentFindings.take() }

    private func setName(_ host: HostID, _ key: NameTable.Key, _ name: ByteView) {
        // Viewers reject a name event without a name.
        guard !name.isEmpty else { return }
        let buffer = json(host)
        buffer.beginWindow()
        buffer.names.set(key, RawBuffer.shown(name, bytesMax: Limits.shownNameBytesMax))
    }

    private func appendJSON(
        _ row: borrowing AnomalyRow,
        host: HostTable.Host,
        to text: inout RawBuffer
    ) {
        text.append("{\"rule\":\"")
        text.append(row.rule)
        text.append("\",\"resource\":\"")
        text.append(worker.resource.name)
        text.append("\",\"host\":")
        var name = host.name
        name.withUTF8 { _ = unsafe text.appendJSONString(ByteView(UnsafeRawBufferPointer($0))) }
        text.append(",\"pid\":")
        text.appendDecimal(row.pid)
        text.append(",\"process\":")
        text.appendJSONString(row.process)
        text.append(",\"ts\":")
        text.appendMicroseconds(ns: row.ts)
        text.append(",\"value\":")
        text.appendJSONDouble(row.value)
        text.append(",\"baseline\":")
        text.appendJSONDouble(row.baseline)
        text.append(",\"score\":")
        text.appendJSONDouble(row.score)
        text.append(",\"severity\":")
        text.appendJSONDouble(row.severity)
        text.append(",\"message\":")
        text.appendJSONString(row.message)
        text.append("}\n")
    }

    private func appendCSV(
        _ row: borrowing AnomalyRow,
        host: HostTable.Host,
        to text: inout RawBuffer
    ) {
        let comma = UInt8(ascii: ",")
        text.append(row.rule)
        text.append(byte: comma)
        text.append(worker.resource.name)
        text.append(byte: comma)
        unsafe host.csv.withUnsafeBytes { unsafe text.append($0) }
        text.append(byte: comma)
        text.appendDecimal(row.pid)
        text.append(byte: comma)
        text.appendCSVField(row.process, guardsFormulas: guardsFormulas)
        text.append(byte: comma)
        // Whole microseconds, rounded down, so that every table has integers in this column.
        text.appendDecimal(row.ts >= 0 ? row.ts / 1_000 : (row.ts + 1) / 1_000 - 1)
        text.append(byte: comma)
        text.appendCSVDouble(row.value)
        text.append(byte: comma)
        text.appendCSVDouble(row.baseline)
        text.append(byte: comma)
        text.appendCSVDouble(row.score)
        text.append(byte: comma)
        text.appendCSVDouble(row.severity)
        text.append(byte: comma)
        text.appendCSVField(row.message, guardsFormulas: guardsFormulas)
        text.append("\r\n")
    }
}
