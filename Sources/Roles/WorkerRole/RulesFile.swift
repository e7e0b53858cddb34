import AnomalyRules
import SystemIO
import TraceModel

// When other rules take effect
// ============================
//
// `rules.json` in the data directory (its form: RuleSet.swift) is read when a worker starts and at SIGHUP
// (`tracectl reload`). Rules change only where the state applied is the state of a checkpoint: at the start,
// which is at the last checkpoint, and at SIGHUP, with a checkpoint of its own that holds the new text. So a
// replay never judges by others what it judged once, except what it does over as a whole: rows written
// after a checkpoint are cut off before. Workers of one resource take a change over one after the other;
// which events of that moment are judged by the new rules already is the one thing that does not follow
// from the log.

/// The rules as the operator wants them.
enum RulesFile {
    /// The file's rules; nil where they are those in force. Without a file these are the defaults.
    /// - Throws: `TraceError(.configuration)` with line and field, `SystemError` where it can't be read.
    static func load(unless current: RuleSet) throws -> RuleSet? {
        let path = ClusterPaths.rules
        var source: [UInt8] = []
        if FileSystem.exists(path) {
            guard let size = FileSystem.size(path), size <= Limits.configurationBytesMax else {
                throw TraceError(
                    .configuration,
                    "\(path) has more than \(Limits.configurationBytesMax) bytes"
                )
            }
            source = try FileSystem.contents(path)
            guard !source.isEmpty else {
                throw TraceError(
                    .configuration,
                    "\(path):1: the file is empty",
                    remedy: "Remove it for the defaults"
                )
            }
        }
        return source == current.source ? nil : try RuleSet(source, file: path)
    }
}
