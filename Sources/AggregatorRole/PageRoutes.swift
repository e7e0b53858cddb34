import TraceMetrics
import TraceModel

/// Which page a request asks for, in which form.
struct PageRoutes: Sendable {
    private let pages: PageThread

    init(_ pages: PageThread) { self.pages = pages }

    func respond(to request: HTTPRequest) async -> HTTPReply {
        // Alive means that this process answers; how the others do is for readiness to say.
        if request.path == "/healthz" { return .text(.ok, "ok") }
        let content: Page.Content
        do {
            guard let known = try Self.content(request) else {
                return .text(
                    .notFound,
                    "no such page; there are / /metrics /status /healthz /readyz"
                )
            }
            content = known
        } catch {
            return .text(.badRequest, "\(error)")
        }
        let isCompressed = QualityList(request.acceptEncoding).weight(of: "gzip") > 0
        do {
            let page = Page(content: content, isCompressed: isCompressed)
            let answer = try await pages.answer(page)
            let isBad = content == .readiness && !answer.isReady
            return HTTPReply(
                status: isBad ? .unavailable : .ok,
                contentType: content.contentType,
                body: answer.data,
                isCompressed: isCompressed
            )
        } catch let error as TraceError where error.code == .unreachable {
            return .text(.unavailable, "\(error)")
        } catch {
            return .text(.failed, "\(error)")
        }
    }

    /// Returns what a request asks for, nil where there is no such page. Throws `invalidArgument` where a parameter of the
    /// query has a value that the page does not know.
    static func content(_ request: HTTPRequest) throws(TraceError) -> Page.Content? {
        switch request.path {
        case "/metrics": .metrics(try names(request), format(request.accept))
        case "/metrics/neutracer": .metrics(.neutracer, .text)
        case "/status": .status
        case "/readyz": .readiness
        case "/": .overview
        default: nil
        }
    }

    /// The sets of families that `names` asks for, which may stand in the query once for each; both where it is not
    /// there.
    private static func names(_ request: HTTPRequest) throws(TraceError) -> MetricNames {
        var names: MetricNames = []
        for value in request.values(of: "names") {
            switch value {
            case "trace": names.insert(.trace)
            case "neutracer": names.insert(.neutracer)
            default:
                throw TraceError(
                    .invalidArgument,
                    "names=\(value.prefix(64)) is unknown; there are names=trace and names=neutracer; "
                        + "without either, /metrics has both"
                )
            }
        }
        return names.isEmpty ? .all : names
    }

    /// OpenMetrics for those who name it and don't prefer the plain text.
    private static func format(_ accept: String) -> Exposition.Format {
        let wanted = QualityList(accept)
        let openMetrics = wanted.weight(of: "application/openmetrics-text")
        return openMetrics > 0 && openMetrics >= wanted.weight(of: "text/plain")
            ? .openMetrics : .text
    }
}
