import HTTPServing
import HTTPTypes
import HummingbirdCore
import TraceMetrics
import TraceModel

/// Which page a request asks for, in which form.
struct PageRoutes: Sendable {
    private let pages: PageThread

    init(_ pages: PageThread) { self.pages = pages }

    func respond(to request: Request) async -> HTTPReply {
        guard request.method == .get || request.method == .head else {
            return Self.text(.methodNotAllowed, "only GET and HEAD", [.allow: "GET, HEAD"])
        }
        // Alive means that this process answers; how the others do is for readiness to say.
        if request.uri.path == "/healthz" { return Self.text(.ok, "ok") }
        let content: Page.Content
        do {
            guard let known = try Self.content(request) else {
                return Self.text(
                    .notFound,
                    "no such page; there are / /metrics /status /healthz /readyz"
                )
            }
            content = known
        } catch { return Self.text(.badRequest, "\(error)") }
        let encodings = QualityList(request.headers[.acceptEncoding] ?? "")
        let isCompressed = encodings.weight(of: "gzip") > 0
        do {
            let page = Page(content: content, isCompressed: isCompressed)
            let answer = try await pages.answer(page)
            let isBad = content == .readiness && !answer.isReady
            return HTTPReply(
                status: isBad ? .serviceUnavailable : .ok,
                headers: Self.headers(
                    content.contentType,
                    isCompressed ? [.contentEncoding: "gzip"] : [:]
                ),
                body: answer.body
            )
        } catch let error as TraceError where error.code == .unreachable {
            return Self.text(.serviceUnavailable, "\(error)")
        } catch { return Self.text(.internalServerError, "\(error)") }
    }

    private static func text(
        _ status: HTTPResponse.Status,
        _ text: String,
        _ more: HTTPFields = [:]
    ) -> HTTPReply {
        HTTPReply(
            status: status,
            headers: headers("text/plain; charset=utf-8", more),
            body: SharedBody((text + "\n").utf8)
        )
    }

    private static func headers(_ contentType: String, _ more: HTTPFields) -> HTTPFields {
        let common: HTTPFields = [
            .contentType: contentType, .vary: "Accept, Accept-Encoding", .cacheControl: "no-store",
            .xContentTypeOptions: "nosniff",
        ]
        return common + more
    }

    /// Returns what a request asks for, nil where there is no such page. Throws `invalidArgument` where a parameter of the
    /// query has a value that the page does not know.
    static func content(_ request: Request) throws(TraceError) -> Page.Content? {
        switch request.uri.path {
        case "/metrics": .metrics(try names(request), format(request.headers[.accept] ?? ""))
        case "/metrics/neutracer": .metrics(.neutracer, .text)
        case "/status": .status
        case "/readyz": .readiness
        case "/": .overview
        default: nil
        }
    }

    /// The sets of families that `names` asks for, which may stand in the query once for each; both where it is not
    /// there.
    private static func names(_ request: Request) throws(TraceError) -> MetricNames {
        var names: MetricNames = []
        for value in request.uri.queryParameters[values: "names"] {
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
