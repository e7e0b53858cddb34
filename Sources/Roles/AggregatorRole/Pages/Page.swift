import TraceMetrics

/// What can be asked for over HTTP, beside `/healthz`.
struct Page: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        case metrics(MetricNames, Exposition.Format)
        case status
        case readiness
        case overview

        /// Whether it takes a reading of the families, which costs more.
        var needsFamilies: Bool {
            switch self {
            case .metrics: true
            case .status, .readiness, .overview: false
            }
        }

        var contentType: String {
            switch self {
            case .metrics(_, let format): format.contentType
            case .status: "application/json"
            case .readiness: "text/plain; charset=utf-8"
            case .overview: "text/html; charset=utf-8"
            }
        }
    }

    let content: Content
    let isCompressed: Bool
}
