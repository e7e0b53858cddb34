import OperatorTools

/// Answers by a script, then accepts; keeps what it was sent.
final class ScriptedTransport: BatchTransport {
    private var script: [AttemptOutcome]
    private(set) var attempts: [[UInt8]] = []
    var onAttempt: (() -> Void)?

    init(_ script: [AttemptOutcome] = []) { self.script = script }

    func attempt(_ batch: [UInt8]) -> AttemptOutcome {
        attempts.append(batch)
        onAttempt?()
        return script.isEmpty ? .accepted : script.removeFirst()
    }
}
