/// How a process has ended lately without being asked to.
package struct RecentEnds: Sendable, Equatable {
    /// Within the last minute.
    package let count: Int
    /// By what the last one came; nil where there was none.
    package let last: String?
    /// Why the process cannot be relied on, and what to do; nil where it stays up.
    package let problem: String?

    package init(count: Int, last: String?, problem: String?) {
        self.count = count
        self.last = last
        self.problem = problem
    }

    package static let none = RecentEnds(count: 0, last: nil, problem: nil)
}
