import SystemIO
import TraceModel

@testable import TraceFiles

/// Generated events with many ties of time and process id, also between hosts.
struct SyntheticEvent {
    static let hosts = ["127.0.0.1", "gpu,\"box\" 1", "beta", "beta\u{7}"]
    static let baseTime: Int64 = 1_760_000_000_000_000_000

    var host: Int
    var pid: UInt32
    var tid: UInt32
    var ts: Int64
    /// Position in the log. Also part of the row, so that the order is visible.
    var number: Int

    /// Generates events. A row is at most `disorderNanoseconds` older than the rows before it.
    static func make(_ count: Int, seed: UInt64, disorderNanoseconds: UInt64) -> [SyntheticEvent] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { number in
            let late = Int64(random.next() % (disorderNanoseconds + 1)) / 1_500 * 1_500
            return SyntheticEvent(
                host: Int(random.next() % UInt64(hosts.count)),
                pid: UInt32(1 + random.next() % 5),
                tid: UInt32(10 + random.next() % 3),
                ts: baseTime + Int64(number / 4) * 3_000 - late,
                number: number
            )
        }
    }

    /// The one of `count` workers that owns the event's process.
    func worker(of count: Int) -> Int {
        var host = Self.hosts[host]
        let hash = host.withUTF8 { Slot.hash(host: UnsafeRawBufferPointer($0)) }
        return Int(Slot.of(hostHash: hash, processID: pid)) % count
    }

    var process: String { "proc \"\(pid)\", ü" }

    /// Writes the event to every kind of output.
    func apply(to manager: TraceFileManager) throws {
        let host = try manager.host(Self.hosts[host], isThisMachine: self.host == 0)
        appendJSON(to: manager, host: host)
        var row = manager.csv.target.beginRow()
        row.appendDecimal(ts / 1_000_000)
        row.append(byte: UInt8(ascii: ","))
        row.appendDecimal(pid)
        row.append(byte: UInt8(ascii: ","))
        withView("line \(number)\r\n, \"quoted\"") { _ = row.appendCSVField($0) }
        let field = manager.hostField(host)
        manager.csv.target.endRow(row, ts: ts, pid: pid, host: host, field: field) {
            $0.appendDecimal(ts)
        }
        withView(process) { name in
            manager.nameProcess(host: host, pid: pid, name: name)
            manager.nameThread(host: host, pid: pid, tid: tid, name: name)
            if number % 7 == 0 {
                withView("cuda|launch\n\nrun;step \(number % 3)\nmain") { frames in
                    manager.appendStack(host: host, ts: ts, pid: pid, process: name, frames: frames)
                }
            }
            guard number % 11 == 0 else { return }
            withView("event \(number), \"late\"\n") { message in
                manager.appendAnomaly(
                    AnomalyRow(
                        rule: "leak",
                        host: host,
                        pid: pid,
                        process: name,
                        ts: ts,
                        value: Double(number) / 4,
                        baseline: .nan,
                        score: 1.5,
                        severity: 0.5,
                        message: message
                    )
                )
            }
        }
        if manager.needsFlush { try manager.flush(.full) }
    }

    /// Writes the event to the host's trace only.
    func appendJSON(to manager: TraceFileManager, host: HostID) {
        render(into: &manager.json(host).text)
        manager.json(host).endRow(ts: ts, pid: pid)
    }

    private func render(into text: inout RawBuffer) {
        text.appendEventStart(ts: ts, pid: pid)
        text.append("\"tid\":\(tid),\"ph\":\"i\",\"name\":\"event\",\"args\":{\"n\":\(number)}}")
    }
}

/// Calls `body` with the bytes of a string.
func withView<Result>(_ text: String, _ body: (ByteView) throws -> Result) rethrows -> Result {
    var text = text
    return try text.withUTF8 { try body(ByteView(UnsafeRawBufferPointer($0))) }
}

extension TraceFileManager {
    func host(_ name: String, isThisMachine: Bool = false) throws -> HostID {
        withView(name) { registerHost($0, isThisMachine: isThisMachine) }
    }
}

extension RawBuffer {
    mutating func append(field: String) {
        var field = field
        field.withUTF8 { _ = appendCSVField(ByteView(UnsafeRawBufferPointer($0))) }
    }
}
