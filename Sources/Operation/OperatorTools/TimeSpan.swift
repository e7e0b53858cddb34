/// A duration as users write it: `10`, `1.5s`, `500ms`, `2m`, `1h`.
package struct TimeSpan: Equatable, Sendable {
    package let seconds: Double

    package static let second = TimeSpan(seconds: 1)

    private init(seconds: Double) { self.seconds = seconds }

    /// Parses a text; nil where it is no duration, or not positive.
    package init?(_ text: String) {
        // The longer unit comes first: "ms" ends in "s".
        let units: [(String, Double)] = [("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600)]
        let unit = units.first { text.hasSuffix($0.0) } ?? ("", 1)
        guard let value = Double(text.dropLast(unit.0.count)), value.isFinite, value > 0 else {
            return nil
        }
        self.init(seconds: value * unit.1)
    }
}
