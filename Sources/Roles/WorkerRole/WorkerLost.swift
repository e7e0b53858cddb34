package import TraceModel

/// The worker's saved state is unusable and a restart does not help: an operator has to decide.
package struct WorkerLost: Error, CustomStringConvertible, Sendable {
    /// The problem and its remedy.
    package let cause: TraceError

    package var description: String { "\(cause)" }
}
