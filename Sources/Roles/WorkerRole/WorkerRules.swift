import AnomalyRules
import IngestLog
import Logging
import SystemIO
import TraceModel
import TraceProcessing

// When other rules take effect
// ============================
//
// `rules.json` in the data directory (format: RuleSet.swift) is read when a worker starts and at SIGHUP
// (`tracectl reload`). Rules change only if the applied state is that of a checkpoint: at the start, which is at the
// last checkpoint, and at SIGHUP, which writes a checkpoint with the new text. So a replay never evaluates an event by
// other rules than before, unless it repeats the event entirely: rows written after a checkpoint are truncated first.
// Workers of one resource change their rules one after another; which events of that moment already follow the new
// rules is the only thing that does not follow from the log.

/// Keeps a worker's processor on the rules that the operator has configured.
final class WorkerRules {
    private let worker: WorkerName
    private let processor: any TraceProcessor
    private let logger: Logger
    /// Number of rules files that were refused.
    private(set) var refused = 0

    init(_ worker: WorkerName, processor: any TraceProcessor, logger: Logger) {
        self.worker = worker
        self.processor = processor
        self.logger = logger
    }

    /// Uses the rules that were in force at the checkpoint.
    func restore(from checkpoint: WorkerCheckpoint) {
        do { processor.rules = try RuleSet(checkpoint.rules, file: "The checkpoint's rules") } catch
        {
            logger.error(
                "Another version's rules; the defaults hold",
                metadata: ["error": "\(error)"]
            )
        }
    }

    /// Uses the rules of the file if they differ and are valid; returns whether they changed. Call it only if the state
    /// is that of a checkpoint, or a checkpoint follows. `window` is the open window. Blocks.
    func reload(window: UInt64) -> Bool {
        do {
            guard let rules = try Self.load(unless: processor.rules) else { return false }
            // Segments of the open window cannot be rebuilt any more: its rest has other rules than its start.
            _ = try KeptCheckpoints.remove(of: worker, from: window)
            processor.rules = rules
            logger.info("Rules taken over", metadata: ["bytes": "\(rules.source.count)"])
            return true
        } catch {
            refused += 1
            logger.error(
                "The rules file is refused; the rules in force stay",
                metadata: ["error": "\(error)"]
            )
            return false
        }
    }

    /// Returns the file's rules; nil if they are already in force. Without a file these are the defaults.
    /// - Throws: `TraceError(.configuration)` with line and field, `SystemError` if the file cannot be read.
    private static func load(unless current: RuleSet) throws -> RuleSet? {
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
