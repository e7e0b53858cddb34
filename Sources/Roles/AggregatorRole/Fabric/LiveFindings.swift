import ClusterMessages
import TraceModel

/// The findings that workers report before their window is published. Those of a resource's last published window are
/// kept until the next one, because its record may not be there yet.
///
/// Bounded in bytes: where there are too many, the oldest of the worker with the most of them give way. Not saved, and
/// workers do not repeat them: what is missing is in the window's file.
struct LiveFindings: Sendable {
    /// Findings of one message.
    private struct Part: Sendable {
        let worker: WorkerName
        let window: UInt64
        let first: UInt64
        let lines: [UInt8]
    }

    /// The position behind a worker's last finding.
    private struct Position: Sendable {
        var window: UInt64 = 0
        var number: UInt64 = 0
    }

    private var parts: [Part] = []
    private var bytes: [WorkerName: Int] = [:]
    private var ends: [WorkerName: Position] = [:]
    private let bytesMax: Int

    init(bytesMax: Int = Limits.liveFindingsBytesMax) { self.bytesMax = bytesMax }

    /// Adds findings. Those that a worker repeats after a restart are left out.
    mutating func add(_ findings: WorkerFindings) {
        let end = ends[findings.worker] ?? Position()
        guard findings.window >= end.window else { return }
        var lines = findings.lines.split(separator: UInt8(ascii: "\n"))[...]
        var first = findings.first
        if findings.window == end.window, first < end.number {
            let repeated = Int(clamping: end.number - first)
            lines = lines.dropFirst(repeated)
            first = end.number
        }
        guard !lines.isEmpty else { return }
        let (number, overflow) = first.addingReportingOverflow(UInt64(lines.count))
        guard !overflow else { return }
        ends[findings.worker] = Position(window: findings.window, number: number)
        let part = Part(
            worker: findings.worker,
            window: findings.window,
            first: first,
            lines: Array(lines.joined(separator: [UInt8(ascii: "\n")]))
        )
        parts.append(part)
        bytes[part.worker, default: 0] += part.lines.count
        while bytes.values.reduce(0, +) > bytesMax { removeOldest() }
    }

    private mutating func removeOldest() {
        let most = bytes.max { $0.value < $1.value }?.key
        guard let oldest = parts.firstIndex(where: { $0.worker == most }) else { return }
        remove(at: oldest)
    }

    private mutating func remove(at place: Int) {
        let part = parts.remove(at: place)
        bytes[part.worker, default: 0] -= part.lines.count
        if bytes[part.worker] == 0 { bytes[part.worker] = nil }
    }

    /// Removes the findings of a resource's windows before this one.
    mutating func remove(_ resource: Resource, before window: UInt64) {
        for place in parts.indices.reversed()
        where parts[place].worker.resource == resource && parts[place].window < window {
            remove(at: place)
        }
    }

    /// A line of JSON for each finding, in the order of arrival: the one of the anomalies file, with the worker, the
    /// window, and the finding's number among the worker's in that window in front.
    var json: [UInt8] {
        var text: [UInt8] = []
        for part in parts {
            var number = part.first
            for line in part.lines.split(separator: UInt8(ascii: "\n")) {
                let head =
                    "{\"worker\":\"\(part.worker)\",\"window\":\(part.window),\"number\":\(number),"
                text.append(contentsOf: head.utf8)
                text.append(contentsOf: line.dropFirst())
                text.append(UInt8(ascii: "\n"))
                number += 1
            }
        }
        return text
    }
}
