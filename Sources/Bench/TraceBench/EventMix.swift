/// Which events a load is made of.
package enum EventMix: String, CaseIterable, Sendable, Codable {
    /// Entries and exits of functions only.
    case function
    /// All six kinds, as many of each.
    case mixed
}
