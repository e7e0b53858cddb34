import TraceMetrics
import TraceModel

/// What `/api/v1/series` is asked for: measures over a span of time.
struct SeriesQuery: Equatable {
    let measures: [ChartMeasure]
    /// nil: all hosts together.
    let host: String?
    /// The first point's second since the Unix epoch, a multiple of `step`.
    let first: Int64
    let count: Int
    let step: Int64
    let resolution: ChartHistory.Resolution

    /// Points of each series where the query does not say how far apart they are.
    private static let pointsUsual: Int64 = 600

    /// Reads a query's parameters.
    /// - Parameter now: The second since the Unix epoch.
    /// - Throws: `TraceError(.invalidArgument)` with what is wrong and what there is.
    init(_ parameters: [(name: String, value: String)], now: Int64) throws(TraceError) {
        var names: [String] = []
        var host: String?
        var numbers: [String: Int64] = [:]
        for (name, value) in parameters {
            switch name {
            case "name": names.append(value)
            case "host": host = value
            case "from", "to", "step":
                guard let number = Int64(value), number >= 0, number < 1 << 40 else {
                    throw TraceError(
                        .invalidArgument,
                        "\(name)=\(value.prefix(64)) is not a number of seconds"
                    )
                }
                numbers[name] = number
            default:
                throw TraceError(
                    .invalidArgument,
                    "parameter \(name.prefix(64)) is unknown; there are name, host, from, to and step"
                )
            }
        }
        measures = try Self.measures(names)
        self.host = host
        let end = numbers["to"] ?? now
        let begin = numbers["from"] ?? end - ChartHistory.Resolution.second.span
        guard begin < end else {
            throw TraceError(.invalidArgument, "from=\(begin) is not before to=\(end)")
        }
        var step = numbers["step"] ?? max(1, (end - begin) / Self.pointsUsual)
        guard step > 0 else { throw TraceError(.invalidArgument, "step has to be 1 at least") }
        let isFine =
            step < ChartHistory.Resolution.tenSeconds.seconds
            && begin >= now - ChartHistory.Resolution.second.span
        resolution = isFine ? .second : .tenSeconds
        step = (step + resolution.seconds - 1) / resolution.seconds * resolution.seconds
        self.step = step
        first = begin / step * step
        let points = (end - first + step - 1) / step
        guard points * Int64(measures.count) <= Int64(Limits.chartPointsMax) else {
            throw TraceError(
                .invalidArgument,
                "that would be \(points) points of \(measures.count) series, and an answer has at most "
                    + "\(Limits.chartPointsMax); ask for a longer step"
            )
        }
        count = Int(points)
    }

    private static func measures(_ names: [String]) throws(TraceError) -> [ChartMeasure] {
        guard !names.isEmpty else { return ChartMeasure.allCases }
        var measures: [ChartMeasure] = []
        for name in names {
            guard let measure = ChartMeasure(name: name) else {
                let known = ChartMeasure.allCases.map(\.name).joined(separator: ", ")
                throw TraceError(
                    .invalidArgument,
                    "name=\(name.prefix(64)) is unknown; there are \(known)"
                )
            }
            if !measures.contains(measure) { measures.append(measure) }
        }
        return measures
    }

    /// Reads the points.
    func answer(_ history: ChartHistory) -> SeriesAnswer {
        SeriesAnswer(
            host: host,
            from: first,
            step: step,
            series: measures.map { measure in
                let points = history.points(
                    measure,
                    host: host,
                    from: first,
                    count: count,
                    step: step,
                    resolution
                )
                return SeriesAnswer.Series(
                    name: measure.name,
                    unit: measure.unit,
                    values: points.map { $0.isNaN ? nil : $0 }
                )
            }
        )
    }
}

/// The JSON of `/api/v1/series`.
struct SeriesAnswer: Encodable {
    /// The points of one measure.
    struct Series: Encodable {
        let name: String
        let unit: String
        /// null where there was nothing to measure.
        let values: [Float?]
    }

    /// Absent: all hosts together.
    let host: String?
    /// The first point's second since the Unix epoch.
    let from: Int64
    /// Seconds from one point to the next.
    let step: Int64
    let series: [Series]
}
