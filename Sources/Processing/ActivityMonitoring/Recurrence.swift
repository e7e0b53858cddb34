/// Decides when something that goes on for a while is logged: when it begins, when it becomes another, and when it is over;
/// not each time that it is seen.
package struct Recurrence: Sendable {
    private var current: String?

    package init() {}

    /// Whether this was not seen the last time. `what` should hold nothing that changes by itself, like sizes.
    package mutating func isNew(_ what: String) -> Bool {
        defer { current = what }
        return current != what
    }

    /// Whether something went on, which is over now.
    package mutating func isOver() -> Bool {
        defer { current = nil }
        return current != nil
    }
}
