import IngestLog
import Logging
import SystemIO
import TraceModel

/// Makes `deadletters/` consistent with the log when the router starts: a letter counts if its verdict is in the log,
/// and is removed otherwise.
enum DeadLetterRecovery {
    /// Runs the recovery. Blocks. Verdicts on ranges below `logBegin` may not be in the log any more, so letters
    /// without one are kept there.
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

    /// Returns the verdicts of the letters that count, as their descriptions state them: the records of the verdicts may
    /// be lost with a part of the log. Blocks.
    static func verdicts() throws(SystemError) -> [(worker: WorkerName, range: Range<LSN>)] {
        var found: [(worker: WorkerName, range: Range<LSN>)] = []
        for file in try FileSystem.list(ClusterPaths.deadLetters) {
            guard let name = name(of: file, suffix: DeadLetterName.sidecarSuffix) else { continue }
            let text = String(decoding: try FileSystem.contents(name.sidecar), as: UTF8.self)
            let key = "  \"to_lsn\": "
            let line = text.split(separator: "\n").first { $0.hasPrefix(key) }
            let end = line.flatMap { LSN($0.dropFirst(key.count).prefix { $0.isNumber }) }
            if let end, name.from < end { found.append((name.worker, name.from..<end)) }
        }
        return found
    }

    private static func name(of file: String, suffix: String) -> DeadLetterName? {
        file.hasSuffix(suffix) ? DeadLetterName(file.dropLast(suffix.count)) : nil
    }

    /// Decides on a letter whose sidecar says that it does not count yet.
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
