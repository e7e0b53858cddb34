import Foundation
import HTTPServing
import HTTPTypes
import HummingbirdCore
import SystemIO
import TraceMetrics
import TraceModel

/// Selects the page and its form for a request.
struct PageRoutes: Sendable {
    private let pages: PageThread
    private let charts: ChartThread
    private let shared: SharedState
    private let console: ServingAddress?

    init(
        _ pages: PageThread,
        _ charts: ChartThread,
        _ shared: SharedState,
        console: ServingAddress?
    ) {
        self.pages = pages
        self.charts = charts
        self.shared = shared
        self.console = console
    }

    func respond(to request: Request) async -> HTTPReply {
        guard request.method == .get || request.method == .head else {
            return Self.text(.methodNotAllowed, "only GET and HEAD", [.allow: "GET, HEAD"])
        }
        // Liveness only means that this process answers; readiness covers the other processes.
        if request.uri.path == "/healthz" { return Self.text(.ok, "ok") }
        if request.uri.path == "/api/v1/series" { return series(request) }
        if request.uri.path == "/api/v1/findings" { return findings() }
        if request.uri.path == "/api/v1/batches" { return batches() }
        if let url = consoleURL(request) {
            return Self.text(.found, "The console is at \(url)", [.location: url])
        }
        let content: Page.Content
        do {
            guard let known = try Self.content(request) else {
                return Self.text(
                    .notFound,
                    "no such page; there are / /overview /metrics /status /healthz /readyz /api/v1/series "
                        + "/api/v1/findings /api/v1/batches"
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

    private func series(_ request: Request) -> HTTPReply {
        do {
            let query = try SeriesQuery(
                request.uri.queryParameters.map { (String($0.key), String($0.value)) },
                now: Int64(WallClock.now() / 1_000_000_000)
            )
            let json = try JSONEncoder().encode(charts.answer(query))
            return HTTPReply(
                status: .ok,
                headers: Self.headers("application/json", [:]),
                body: SharedBody(json)
            )
        } catch { return Self.text(.badRequest, "\(error)") }
    }

    /// Returns the findings of windows that are not published yet, one a line.
    private func findings() -> HTTPReply {
        let live = shared.withLock { $0.findings }
        return HTTPReply(
            status: .ok,
            headers: Self.headers("application/jsonl", [:]),
            body: SharedBody(live.json)
        )
    }

    /// When the last batches of all hosts arrived.
    private struct Batches: Encodable {
        /// One host.
        struct Host: Encodable {
            let host: String
            let lastBatchTsNs: EpochNanoseconds
        }

        let hosts: [Host]
    }

    private func batches() -> HTTPReply {
        let last = shared.withLock { $0.store.lastBatches() }
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let answer = Batches(
            hosts: last.map { Batches.Host(host: $0.host, lastBatchTsNs: $0.time) }
        )
        guard let json = try? encoder.encode(answer) else {
            return Self.text(.internalServerError, "the answer has no JSON")
        }
        return HTTPReply(
            status: .ok,
            headers: Self.headers("application/json", [:]),
            body: SharedBody(json)
        )
    }

    /// Returns the console's URL for a browser that asks for the first page. Other clients get the overview there.
    private func consoleURL(_ request: Request) -> String? {
        guard let console, request.uri.path == "/",
            QualityList(request.headers[.accept] ?? "").weight(of: "text/html") > 0
        else { return nil }
        let scheme = HTTPField.Name("x-forwarded-proto").flatMap { request.headers[$0] }
        return ConsoleLink.url(
            console,
            from: request.head.authority,
            isSecure: scheme == "https"
        )
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

    /// Returns the requested page; nil if there is no such page.
    /// - Throws: `TraceError(.invalidArgument)` if a query parameter has a value that the page does not support.
    static func content(_ request: Request) throws(TraceError) -> Page.Content? {
        switch request.uri.path {
        case "/metrics": .metrics(try names(request), format(request.headers[.accept] ?? ""))
        case "/metrics/neutracer": .metrics(.neutracer, .text)
        case "/status": .status
        case "/readyz": .readiness
        case "/", "/overview": .overview
        default: nil
        }
    }

    /// Returns the sets of families that the query's `names` parameters request, one per parameter; both sets if
    /// there is none.
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

    /// Returns OpenMetrics if the client names it and does not prefer plain text.
    private static func format(_ accept: String) -> Exposition.Format {
        let wanted = QualityList(accept)
        let openMetrics = wanted.weight(of: "application/openmetrics-text")
        return openMetrics > 0 && openMetrics >= wanted.weight(of: "text/plain")
            ? .openMetrics : .text
    }
}
