package import TraceModel

/// The last window of a resource that stands under its final names. Saved; the next window begins at its
/// barrier.
package struct MergedMark: Codable, Equatable, Sendable {
    package var window: UInt64
    /// Nil where only the records of final files know the window: then the next one begins where its segments do.
    package var barrierLSN: LSN?
    /// The window's final files, relative to the data directory.
    package var files: [String]
}
