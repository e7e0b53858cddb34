import ConfigurationText
package import TraceModel

/// Selects the processes of an override: every given field has to match.
struct ProcessPattern: Sendable {
    /// `comm` and `host` may contain `*` for any characters; nil matches everything.
    var comm: String?
    var host: String?
    var pid: UInt32?

    func matches(comm: String, host: String, pid: UInt32) -> Bool {
        if let expected = self.pid, expected != pid { return false }
        if let pattern = self.comm, !Self.matches(pattern, comm) { return false }
        if let pattern = self.host, !Self.matches(pattern, host) { return false }
        return true
    }

    /// Matches with backtracking to the last `*` only, which is sufficient.
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
// JSON of at most 1 MiB, which takes effect completely or not at all. An unknown key, a repeated key, a value of the
// wrong type or out of range, or a clear threshold above its raise threshold is an error that names line and field.
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
// `rules`: settings by resource and rule; what is missing keeps its default. Every rule has `enabled` and `cooldown_s`
// (0 to 86,400 s of event time in which a key raises no further finding; suppressed findings are then raised as one
// record, with the worst of them). Threshold.swift has the rules' thresholds with defaults and ranges.
// `overrides`: settings that replace those of `rules` for the processes that match. `match` needs at least one of
// `comm`, `host` (both with `*` for any characters) and `pid`. If several overrides match a process, the first one
// counts. Function and GPU events carry no comm: their rules use the name that agents give the process separately.

/// The configured rules: thresholds for all processes, and for those that an override selects.
@safe
package final class RuleSet {
    /// The configuration's text; empty for the defaults.
    package let source: [UInt8]
    private let patterns: [ProcessPattern]
    /// The thresholds for all processes, then those of each override.
    private let thresholds: UnsafeMutableBufferPointer<Thresholds>

    /// Makes the default rules.
    package convenience init() { self.init(source: [], standard: Thresholds(), overrides: []) }

    /// Reads a configuration; `file` is its name in errors. Empty bytes give the defaults.
    /// - Throws: `TraceError(.configuration)` with line and field.
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
        unsafe thresholds = .allocate(capacity: 1 + overrides.count)
        _ = unsafe thresholds.initialize(from: [standard] + overrides.map(\.1))
    }

    deinit { unsafe thresholds.deallocate() }

    /// Returns a process's thresholds; the pointer is valid as long as the set lives. O(overrides).
    package func thresholds(
        comm: ByteView,
        host: @autoclosure () -> String,
        pid: UInt32
    ) -> UnsafePointer<Thresholds> {
        let all = unsafe thresholds.baseAddress.map { unsafe UnsafePointer($0) }
        guard let all = unsafe all else { preconditionFailure("there are defaults at least") }
        guard !patterns.isEmpty else { return unsafe all }
        let (comm, host) = (comm.string, host())
        let first = patterns.firstIndex { $0.matches(comm: comm, host: host, pid: pid) }
        return unsafe all + (first.map { $0 + 1 } ?? 0)
    }
}
