import TraceMetrics

/// A page served over HTTP, besides `/healthz`.
struct Page: Hashable, Sendable {
    /// What a page shows.
    enum Content: Hashable, Sendable {
        case metrics(MetricNames, Exposition.Format)
        case status
        case readiness
        case overview

        /// Whether the page needs a reading of all metric families, which costs more than the status.
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
