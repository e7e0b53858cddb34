/// A window whose segments wait for the aggregator; announced until it says they are merged.
package struct ClosedWindow: Sendable, Equatable {
    package let window: UInt64
    package let stem: String
    package let files: [ClosedFile]
}
