package import TraceModel

/// `function=4,cpu=2`, as `scale` takes it.
package struct WorkerCounts: Equatable, Sendable {
    package let counts: [(resource: Resource, workers: Int)]

    package static func == (a: WorkerCounts, b: WorkerCounts) -> Bool {
        a.counts.elementsEqual(b.counts) { $0 == $1 }
    }

    /// Throws `TraceError` (invalidArgument) that says which part is wrong and what is allowed.
    package init(_ text: String) throws {
        var counts: [(resource: Resource, workers: Int)] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            let known = Resource.allCases.map(\.name).joined(separator: ", ")
            guard sides.count == 2, let resource = Resource(name: String(sides[0])) else {
                throw TraceError(
                    .invalidArgument,
                    "'\(part)' is not RESOURCE=COUNT with one of \(known)"
                )
            }
            guard let workers = Int(sides[1]), (1...Limits.workersPerResourceMax).contains(workers)
            else {
                throw TraceError(
                    .invalidArgument,
                    "'\(part)': a count is 1 to \(Limits.workersPerResourceMax)"
                )
            }
            guard !counts.contains(where: { $0.resource == resource }) else {
                throw TraceError(.invalidArgument, "\(resource.name) is named twice")
            }
            counts.append((resource, workers))
        }
        self.counts = counts
    }
}
