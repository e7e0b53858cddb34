/// Whether a finding is raised, or falls into the cool-down of an earlier one of its key.
package enum FindingVerdict: BitwiseCopyable, Equatable, Sendable {
    /// It is raised, and its key's cool-down begins.
    case raised
    /// It falls into the cool-down that began at `since`: it is counted, and raised with the others when that ends.
    case suppressed(since: Int64)
}
