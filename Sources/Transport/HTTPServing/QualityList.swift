/// Parses a header that lists choices with weights (RFC 9110, 12.4.2).
/// Example: `text/plain;version=0.0.4;q=0.2, */*;q=0.1`.
package struct QualityList {
    private var weights: [String: Double] = [:]

    /// Parses the header's value.
    package init(_ header: String) {
        for item in header.split(separator: ",") {
            let parts = item.split(separator: ";").map {
                $0.filter { $0 != " " && $0 != "\t" }.lowercased()
            }
            guard let name = parts.first else { continue }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }
            let value = weight.flatMap { Double($0.dropFirst(2)) } ?? 1
            weights[name] = max(weights[name] ?? 0, value)
        }
    }

    /// Returns a choice's weight; 0 if it is not listed. Wildcards are ignored: a named choice is preferred to a
    /// tolerated one.
    package func weight(of name: String) -> Double { weights[name] ?? 0 }
}
