/// One call of a recording, times in nanoseconds of the recording's own clock.
package struct RecordedCall: Equatable, Sendable {
    /// The end of a call that was open when the recording stopped.
    package static let open = Int64.max

    package var start: Int64
    package var end: Int64
    /// Index into `Recording.names`.
    package var name: UInt32
    /// Index into `Recording.threads`.
    package var thread: UInt32
    /// Position in the file, which decides between calls of the same times.
    package var order: UInt32
}
