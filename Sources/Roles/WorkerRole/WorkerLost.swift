package import TraceModel

/// What a worker has saved is of no use, and starting it again changes nothing: an operator has to decide.
package struct WorkerLost: Error, CustomStringConvertible, Sendable {
    /// What is wrong, and the remedy.
    package let cause: TraceError

    package var description: String { "\(cause)" }
}
