package import SystemIO

/// The owner of a processor: it receives progress within a batch and handles rows that cannot be written. Called on
/// the processor's thread.
package protocol BatchObserver: AnyObject {
    /// Called after every `Limits.progressEvents` events of a batch.
    func advanced()

    /// Called when rows could not be written. Blocks until they are written.
    /// - Throws: If the process is to end. The batch is then half applied, and is repeated from the last checkpoint.
    func writeRows(after error: SystemError) throws
}
