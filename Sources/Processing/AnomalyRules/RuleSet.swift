import ConfigurationText
package import TraceModel

/// Which processes an override is for: all that is given has to match.
struct ProcessPattern: Sendable {
    /// With `*` for any characters; nil for every one.
    var comm: String?
    var host: String?
    var pid: UInt32?

    func matches(comm: String, host: String, pid: UInt32) -> Bool {
        if let expected = self.pid, expected != pid { return false }
        if let pattern = self.comm, !Self.matches(pattern, comm) { return false }
        if let pattern = self.host, !Self.matches(pattern, host) { return false }
        return true
    }

    /// Tries the shortest text for a `*` first and lengthens that of the last one only, which is enough.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var p = 0
        var t = 0
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                p = last.pattern + 1
                t = last.text + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

// The rules file
// ==============
//
// JSON, at most 1 MiB. Taken as a whole or not at all; an unknown key, a key that stands twice, a value of
// another kind or out of range, or a clear threshold above its raise threshold is an error that names the
// line and the field.
//
//     {
//       "rules": {
//         "function": {
//           "slow_call": { "enabled": true, "cooldown_s": 60, "duration_ms": 100 }
//         }
//       },
//       "overrides": [
//         { "match": { "comm": "java*", "host": "db-*", "pid": 17 },
//           "rules": { "memory": { "leak": { "enabled": false } } } }
//       ]
//     }
//
// `rules`: by resource, by rule; what isn't given keeps its default. Every rule has `enabled` and
// `cooldown_s` (0 to 86,400: for how long of event time a key stays quiet after a finding; what it suppressed is
// then raised as one record, with the worst of it); its thresholds, with defaults and ranges, stand in
// Threshold.swift. `overrides`: for the processes that match, these
// replace what `rules` says; `match` needs one of `comm`, `host` (both with `*` for any characters) and
// `pid` at least. Of several overrides that match a process, the first one counts. Function and GPU events
// carry no comm: for their rules it is the name that agents give the process beside them, where they do.

/// The rules as configured: thresholds for all processes, and for those that an override names.
package final class RuleSet {
    /// What the rules were read from; empty for the defaults.
    package let source: [UInt8]
    private let patterns: [ProcessPattern]
    /// Those for all, then one an override.
    private let thresholds: UnsafeMutableBufferPointer<Thresholds>

    /// The defaults.
    package convenience init() { self.init(source: [], standard: Thresholds(), overrides: []) }

    /// Reads a configuration; `file` names it in errors. Empty bytes are the defaults.
    /// - Throws: `TraceError(.configuration)`, with line and field.
    package convenience init(_ source: [UInt8], file: String) throws(TraceError) {
        guard !source.isEmpty else {
            self.init()
            return
        }
        let reader = RuleConfiguration(file: file)
        let root = try ConfigurationParser.parse(source, file: file)
        let (standard, overrides) = try reader.read(root)
        self.init(source: source, standard: standard, overrides: overrides)
    }

    private init(source: [UInt8], standard: Thresholds, overrides: [(ProcessPattern, Thresholds)]) {
        self.source = source
        patterns = overrides.map(\.0)
        thresholds = .allocate(capacity: 1 + overrides.count)
        _ = thresholds.initialize(from: [standard] + overrides.map(\.1))
    }

    deinit { thresholds.deallocate() }

    /// What holds for a process; valid as long as the set lives. O(overrides).
    package func thresholds(comm: ByteView, host: @autoclosure () -> String, pid: UInt32) -> UnsafePointer<Thresholds> {
        let all = thresholds.baseAddress.map { UnsafePointer($0) }
        guard let all else { preconditionFailure("there are defaults at least") }
        guard !patterns.isEmpty else { return all }
        let (comm, host) = (comm.string, host())
        let first = patterns.firstIndex { $0.matches(comm: comm, host: host, pid: pid) }
        return all + (first.map { $0 + 1 } ?? 0)
    }
}
