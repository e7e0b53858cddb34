import IngestLog
import Logging
import SystemIO
import TraceModel

/// Brings `deadletters/` in line with the log when the router starts: a letter counts where its verdict is
/// in the log, and was never written where it is not.
enum DeadLetterRecovery {
    /// Blocks. `logBegin`: verdicts on what lies below may be gone from the log.
    static func run(_ verdicts: Verdicts, logBegin: LSN, logger: Logger) throws(SystemError) {
        let files = Set(try FileSystem.list(ClusterPaths.deadLetters))
        for file in files.sorted() {
            if file.hasSuffix(".tmp") {
                try FileSystem.remove("\(ClusterPaths.deadLetters)/\(file)")
            } else if let name = name(of: file, suffix: DeadLetterName.pendingSuffix) {
                try settle(name, verdicts, logBegin: logBegin, logger: logger)
            } else if let name = name(of: file, suffix: ".pbs"),
                !files.contains("\(name)\(DeadLetterName.sidecarSuffix)"),
                !files.contains("\(name)\(DeadLetterName.pendingSuffix)")
            {
                try FileSystem.remove(name.batches)
            }
        }
    }

    private static func name(of file: String, suffix: String) -> DeadLetterName? {
        file.hasSuffix(suffix) ? DeadLetterName(file.dropLast(suffix.count)) : nil
    }

    private static func settle(
        _ name: DeadLetterName,
        _ verdicts: Verdicts,
        logBegin: LSN,
        logger: Logger
    ) throws(SystemError) {
        if verdicts.contains(name.worker, from: name.from) {
            try FileSystem.rename(name.pendingSidecar, to: name.sidecar)
            try FileSystem.syncDirectory(ClusterPaths.deadLetters)
        } else if name.from >= logBegin {
            try FileSystem.remove(name.pendingSidecar)
            try FileSystem.remove(name.batches)
        } else {
            logger.error(
                "Whether a dead letter counts is no longer known; it is left alone",
                metadata: ["file": "\(name.pendingSidecar)"]
            )
        }
    }
}
