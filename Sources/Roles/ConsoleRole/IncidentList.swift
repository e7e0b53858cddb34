import SystemIO
import TraceFiles
import TraceModel

/// Groups findings into incidents: findings of one rule, host and process that follow one another closely. Keeps the
/// newest ones. Texts are JSON, as the files have them.
struct IncidentList {
    /// Findings that belong together.
    struct Incident {
        var begin: EpochNanoseconds
        var end: EpochNanoseconds
        var count = 1
        /// Of the worst finding, the first one with the highest severity.
        var severity: Double
        var value: [UInt8]
        var message: [UInt8]
        let rule: [UInt8]
        let resource: [UInt8]
        let host: [UInt8]
        let process: [UInt8]
        let pid: UInt32
    }

    /// What findings of one incident have in common.
    private struct Key: Hashable {
        let rule: [UInt8]
        let host: [UInt8]
        let pid: UInt32
    }

    private let limit: Int
    private let openMax: Int
    private var open: [Key: Incident] = [:]
    private var closed: [Incident] = []
    private static let gap = Int64(Limits.incidentGapSeconds) * 1_000_000_000
    /// Findings that were added.
    private(set) var findings = 0
    /// Incidents, with those that were dropped because there are newer ones.
    private(set) var total = 0

    init(limit: Int, openMax: Int = Limits.consoleIncidentsMax) {
        self.limit = limit
        self.openMax = openMax
    }

    /// Adds a finding; they have to come in order of time.
    mutating func add(_ line: AnomalyLine) {
        let key = unsafe Key(rule: Array(line.rule), host: Array(line.host), pid: line.pid)
        let severity = unsafe Double(String(decoding: line.severity, as: UTF8.self)) ?? 0
        findings += 1
        if var incident = open[key], line.ts - incident.end <= Self.gap {
            incident.end = line.ts
            incident.count += 1
            if severity > incident.severity {
                incident.severity = severity
                unsafe incident.value = Array(line.value)
                unsafe incident.message = Array(line.message)
            }
            open[key] = incident
            return
        }
        if let before = open[key] { close(before) }
        if open[key] == nil, open.count >= openMax { closeAll(before: line.ts) }
        total += 1
        unsafe open[key] = Incident(
            begin: line.ts,
            end: line.ts,
            severity: severity,
            value: Array(line.value),
            message: Array(line.message),
            rule: key.rule,
            resource: Array(line.resource),
            host: key.host,
            process: Array(line.process),
            pid: line.pid
        )
    }

    /// Returns the newest incidents, by their begin, the newest first.
    mutating func newest() -> [Incident] {
        for incident in open.values { closed.append(incident) }
        open = [:]
        trim()
        return closed
    }

    private mutating func close(_ incident: Incident) {
        closed.append(incident)
        if closed.count >= 2 * limit + 64 { trim() }
    }

    /// Makes room for further processes: ends the incidents that are over, or all of them.
    private mutating func closeAll(before ts: EpochNanoseconds) {
        let over = open.filter { ts - $0.value.end > Self.gap }
        let ended = over.isEmpty ? open : over
        for (key, incident) in ended {
            close(incident)
            open[key] = nil
        }
    }

    private mutating func trim() {
        closed.sort {
            ($1.begin, $1.end, $0.pid) < ($0.begin, $0.end, $1.pid)
        }
        if closed.count > limit { closed.removeLast(closed.count - limit) }
    }
}
