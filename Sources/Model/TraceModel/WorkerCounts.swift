/// Reads and writes `function=2,cpu=1`: how many workers resources have.
package enum WorkerCounts {
    /// Nil where the text is no such list; resources not named have none in it. An empty text is an
    /// empty list.
    package static func parse(_ text: String) -> [Resource: Int]? {
        var counts: [Resource: Int] = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: true) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let resource = Resource(name: String(sides[0])),
                let count = Int(sides[1]), (1...Limits.workersPerResourceMax).contains(count),
                String(count) == sides[1],
                counts.updateValue(count, forKey: resource) == nil
            else { return nil }
        }
        return counts
    }
}
