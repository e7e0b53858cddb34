/// What the monitor has noticed; each is told once.
package enum ActivityEvent: Sendable, Equatable {
    /// No batch for a while, and some since the last pause: the open window can be finalized.
    case paused(seconds: Int)
    /// No batch for the configured timeout: the cluster finalizes and ends.
    case inactive(seconds: Int)
    /// An expected member is silent; it may hang.
    case late(ClusterMember, silentSeconds: Int)
    /// A member reported late has been heard again.
    case recovered(ClusterMember, silentSeconds: Int)
}
