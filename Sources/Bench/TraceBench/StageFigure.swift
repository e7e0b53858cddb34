/// What one stage of an event's way costs: CPU time of one thread.
package struct StageFigure: Sendable, Codable {
    package let name: String
    /// The median of several rounds.
    package let nanosecondsPerEvent: Double
    /// The fastest round: the least disturbed one.
    package let fastestNanosecondsPerEvent: Double
    package let events: Int
    /// How fast bytes go through it, where that is what counts.
    package var megabytesPerSecond: Double?
}
