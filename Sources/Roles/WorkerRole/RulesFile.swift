import AnomalyRules
import SystemIO
import TraceModel

// When other rules take effect
// ============================
//
// `rules.json` in the data directory (format: RuleSet.swift) is read when a worker starts and at SIGHUP
// (`tracectl reload`). Rules change only if the applied state is that of a checkpoint: at the start, which is at the
// last checkpoint, and at SIGHUP, which writes a checkpoint with the new text. So a replay never evaluates an event by
// other rules than before, unless it repeats the event entirely: rows written after a checkpoint are truncated first.
// Workers of one resource change their rules one after another; which events of that moment already follow the new
// rules is the only thing that does not follow from the log.

/// Reads the rules that the operator has configured.
enum RulesFile {
    /// Returns the file's rules; nil if they are already in force. Without a file these are the defaults.
    /// - Throws: `TraceError(.configuration)` with line and field, `SystemError` if the file cannot be read.
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
