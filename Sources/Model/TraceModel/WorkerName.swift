/// The name of a worker, its resource and index: `function.0`.
package struct WorkerName: Hashable, Sendable, CustomStringConvertible {
    package let resource: Resource
    package let index: Int

    package init(resource: Resource, index: Int) {
        self.resource = resource
        self.index = index
    }

    /// Parses `function.0`; nil if the text is not a worker's name.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let resource = Resource(name: String(parts[0])),
            let index = Int(parts[1]), index >= 0,
            index < Limits.workersPerResourceMax
        else { return nil }
        self.init(resource: resource, index: index)
        // `function.01` would be a second name of the same worker.
        guard description == text else { return nil }
    }

    package var description: String { "\(resource.name).\(index)" }
}

/// Parses `function=2,cpu=1`, the number of workers of resources.
package enum WorkerCounts {
    /// Returns the counts of the named resources, empty for an empty text; nil if the text is invalid.
    package static func parse(_ text: String) -> [Resource: Int]? {
        var counts: [Resource: Int] = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: true) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let resource = Resource(name: String(sides[0])),
                let count = Int(sides[1]),
                (1...Limits.workersPerResourceMax).contains(count), String(count) == sides[1],
                counts.updateValue(count, forKey: resource) == nil
            else { return nil }
        }
        return counts
    }

    /// Returns counts in the form that `parse` reads, in the order of resources.
    package static func text(_ counts: [Resource: Int]) -> String {
        Resource.allCases.compactMap { resource in
            counts[resource].map { "\(resource.name)=\($0)" }
        }.joined(separator: ",")
    }
}

/// What one worker has of one window: `function.0.w12`.
package struct WorkerWindow: Hashable, Sendable, CustomStringConvertible {
    package let worker: WorkerName
    package let window: UInt64

    package init(worker: WorkerName, window: UInt64) {
        self.worker = worker
        self.window = window
    }

    /// Reads `function.0.w12`; nil where the text is nothing of the kind.
    package init?(_ text: some StringProtocol) {
        guard let dot = text.lastIndex(of: "."), let worker = WorkerName(String(text[..<dot])),
            let window = UInt64(text[dot...].dropFirst(2))
        else { return nil }
        self.init(worker: worker, window: window)
        guard description == text else { return nil }
    }

    package var description: String { "\(worker).w\(window)" }
}
