package import TraceModel

/// The last merged window of a resource. It is saved; the next window begins at its barrier.
package struct MergedMark: Codable, Equatable, Sendable {
    package var window: UInt64
    /// LSN of the window's barrier. Nil if the window is known only from the records of final files; the next
    /// window then begins at its first segment.
    package var barrierLSN: LSN?
    /// Paths of the window's final files, relative to the data directory.
    package var files: [String]
}
