package import SystemIO

/// Who runs a processor: hears of its progress within a batch, and decides what happens where rows can't be written. Called on
/// the processor's thread.
package protocol BatchObserver: AnyObject {
    /// `Limits.progressEvents` more events of the batch are applied.
    func advanced()

    /// Rows could not be written. Returns once they are; blocks as long as that takes.
    /// - Throws: where the process is to end: the batch stays half applied, and is repeated from the last checkpoint.
    func writeRows(after error: SystemError) throws
}
