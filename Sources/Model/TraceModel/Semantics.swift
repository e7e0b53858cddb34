/// What an agent's fields mean: one of two dialects of the wire contract. Raw values are those of the field
/// `TraceBatch.semantics` and stand in log records.
///
/// Only decoding and the normalisers of `TraceProcessing` look at it; everything behind them sees one form.
package enum Semantics: UInt8, Sendable, CaseIterable {
    /// As the NeuTracer C++ agent sends: sampled events, differences since the previous event, MiB/s, fractions.
    case neutracer = 1
    /// All events, running totals, bytes a second, percentages.
    case cumulative = 2

    /// As settings and options name it.
    package var name: String {
        switch self {
        case .neutracer: "neutracer"
        case .cumulative: "cumulative"
        }
    }

    /// - Returns: nil where no dialect has this name.
    package init?(name: String) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }
}
