import TraceModel

/// The bounds of one manager or merger; the defaults are `Limits`, tests take smaller ones.
package struct FileBudget: Sendable {
    /// A run buffer is written out at this size.
    package var runFlushBytes = Limits.runFlushBytes
    /// All run buffers of one worker together.
    package var runBufferBytesMax = Limits.runBufferBytesMax
    package var runHoldbackNanoseconds = Limits.runHoldbackNanoseconds
    package var openFilesMax = Limits.openFilesMax
    /// Hosts heard of that one worker remembers.
    package var hostsMax = Limits.hostsMax
    /// Files of single hosts that one worker has in a window.
    package var hostFilesMax = Limits.hostFilesPerWindowMax
    /// Read buffer of one run in a merge, and the write buffer of its output.
    package var mergeBufferBytes = Limits.mergeBufferBytes
    /// Runs merged at once; more take several passes.
    package var mergeRunsMax = Limits.mergeRunsMax
    /// One final trace or table, before it is compressed; what is larger becomes several files.
    package var finalFileBytesMax = Limits.finalFileBytesMax

    package init() {}
}
