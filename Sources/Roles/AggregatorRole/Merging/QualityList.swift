/// A header that lists choices with their weights: `text/plain;version=0.0.4;q=0.2, */*;q=0.1`
/// (RFC 9110, 12.4.2).
struct QualityList {
    private var weights: [String: Double] = [:]

    init(_ header: String) {
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

    /// 0 where it is not wanted. Wildcards don't count: what is named is preferred over what is tolerated.
    func weight(of name: String) -> Double { weights[name] ?? 0 }
}
