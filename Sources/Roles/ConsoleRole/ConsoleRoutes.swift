import Compression
import HTTPServing
import HTTPTypes
import HummingbirdCore
import Logging
import TraceModel

/// Selects what a request gets: a page, a file, or the answer of a query.
struct ConsoleRoutes: Sendable {
    private let pages: ConsolePages
    private let queries: ConsoleQueries
    private let delivery: FileDelivery
    /// nil: the UI is elsewhere.
    private let perfetto: PerfettoPages?
    private let trace: TraceQuery
    private let threads: QueryThreads
    private let log: Logger

    /// Answers of at least this size are compressed for clients that take it.
    private static let compressedBytesMin = 1 << 10
    /// The path of everything that is no page.
    static let root = "/api/v1/"

    init(
        pages: ConsolePages,
        queries: ConsoleQueries,
        delivery: FileDelivery,
        perfetto: PerfettoPages?,
        threads: QueryThreads,
        log: Logger
    ) {
        self.pages = pages
        self.queries = queries
        self.delivery = delivery
        self.perfetto = perfetto
        self.threads = threads
        trace = TraceQuery(threads, queries.catalog, queries.openWindow)
        self.log = log
    }

    /// What a path below `root` names.
    enum Target: Equatable {
        case query(ConsoleQueries.Endpoint)
        /// The points of charts, which the aggregator has.
        case series
        /// One trace of all resources.
        case trace
        /// The description of the API.
        case description
        /// A final file, by its path below `output/`.
        case file(String)

        /// Returns nil for an unknown path.
        init?(_ path: String) {
            guard path.hasPrefix(ConsoleRoutes.root) else { return nil }
            let rest = path.dropFirst(ConsoleRoutes.root.count)
            if rest == "openapi.json" {
                self = .description
            } else if rest == "series" {
                self = .series
            } else if rest == TraceQuery.name {
                self = .trace
            } else if let endpoint = ConsoleQueries.Endpoint(rawValue: String(rest)) {
                self = .query(endpoint)
            } else if rest.hasPrefix("files/"),
                let name = PercentDecoding.text(rest.dropFirst("files/".count))
            {
                self = .file(name)
            } else {
                return nil
            }
        }
    }

    func respond(to request: Request, from peer: HTTPPeer) async -> HTTPReply {
        guard request.method == .get || request.method == .head else {
            return Self.error(
                .methodNotAllowed,
                "invalidArgument",
                "only GET and HEAD",
                [.allow: "GET, HEAD"]
            )
        }
        let path = request.uri.path
        if path == "/healthz" { return Self.reply(.ok, "text/plain; charset=utf-8", "ok\n".utf8) }
        do {
            if let perfetto, path.hasPrefix(PerfettoPages.root) {
                return try await perfetto.reply(path, request.headers, delivery)
                    ?? Self.error(.notFound, "notFound", "there is no such file")
            }
            guard path.hasPrefix(Self.root) else { return page(path, request) }
            switch Target(path) {
            case .query(let endpoint): return try await answer(endpoint, request, peer)
            case .series:
                // Its parameters are the aggregator's to check.
                let query = request.uri.query.map { "?\($0)" } ?? ""
                return try await reply(request) {
                    QueryAnswer(try AggregatorClient.body(of: "\(Self.root)series\(query)"))
                }
            case .trace: return try await traceReply(request, peer)
            case .description:
                return page("/\(ConsolePages.description)", request)
            case .file(let name):
                let reply = try await delivery.reply(name, request.headers)
                guard var reply else {
                    return Self.error(.notFound, "notFound", "there is no such file")
                }
                Self.protect(&reply.headers)
                return reply
            case nil:
                return Self.error(
                    .notFound,
                    "notFound",
                    "no such endpoint; \(Self.root)openapi.json describes all"
                )
            }
        } catch { return failure(error) }
    }

    // MARK: Pages

    private func page(_ path: String, _ request: Request) -> HTTPReply {
        guard let file = pages[path] else {
            return Self.error(.notFound, "notFound", "there is no such page")
        }
        let headers: HTTPFields = [.cacheControl: "no-cache", .eTag: file.tag]
        if FileDelivery.lists(request.headers[.ifNoneMatch], file.tag) {
            return Self.reply(.notModified, file.contentType, [], headers)
        }
        return Self.reply(.ok, file.contentType, file.bytes, headers)
    }

    // MARK: Queries

    private func answer(
        _ endpoint: ConsoleQueries.Endpoint,
        _ request: Request,
        _ peer: HTTPPeer
    ) async throws -> HTTPReply {
        let parameters = try QueryParameters(request.uri.query, known: endpoint.parameters)
        return try await reply(request) {
            try queries.answer(endpoint, parameters, QueryContext(peer: peer))
        }
    }

    /// Returns the reply with what a query answers on one of the threads.
    private func reply(
        _ request: Request,
        _ query: @escaping @Sendable () throws -> QueryAnswer
    ) async throws -> HTTPReply {
        let takesGzip = Self.takesGzip(request)
        let (answer, compressed) = try await threads.run { () throws -> (QueryAnswer, [UInt8]?) in
            let answer = try query()
            guard takesGzip, answer.bytes.count >= Self.compressedBytesMin,
                answer.type != "application/gzip"
            else { return (answer, nil) }
            return (
                answer, unsafe try answer.bytes.withUnsafeBytes { try unsafe Gzip.compress($0) }
            )
        }
        var headers: HTTPFields = [.cacheControl: "no-store", .vary: "Accept-Encoding"]
        if compressed != nil { headers[.contentEncoding] = "gzip" }
        answer.openWindow?.add(to: &headers)
        if let name = answer.name {
            headers[.contentDisposition] = "attachment; filename=\"\(name)\""
        }
        return Self.reply(.ok, answer.type, compressed ?? answer.bytes, headers)
    }

    private func traceReply(_ request: Request, _ peer: HTTPPeer) async throws -> HTTPReply {
        let parameters = try QueryParameters(request.uri.query, known: TraceQuery.parameters)
        var reply = try await trace.reply(
            parameters,
            peer,
            isCompressed: Self.takesGzip(request),
            isHead: request.method == .head
        )
        Self.protect(&reply.headers)
        return reply
    }

    private static func takesGzip(_ request: Request) -> Bool {
        QualityList(request.headers[.acceptEncoding] ?? "").weight(of: "gzip") > 0
    }

    /// Returns the reply for a request that failed.
    private func failure(_ error: any Error) -> HTTPReply {
        switch error {
        case QueryFailure.busy:
            return Self.error(
                .serviceUnavailable,
                "exhausted",
                "\(Limits.consoleQueriesMax) queries run already; try again",
                [.retryAfter: "2"]
            )
        case QueryFailure.late:
            return Self.error(
                .gatewayTimeout,
                "exhausted",
                "the query took longer than \(Int(Limits.consoleQuerySeconds)) s; narrow the time with from and to"
            )
        case QueryFailure.cancelled:
            return Self.error(.serviceUnavailable, "unreachable", "the query was cancelled")
        case let error as TraceError:
            switch error.code {
            case .invalidArgument:
                return Self.error(.badRequest, error.code.rawValue, "\(error)")
            case .notFound: return Self.error(.notFound, error.code.rawValue, "\(error)")
            case .exhausted, .unreachable:
                return Self.error(.serviceUnavailable, error.code.rawValue, "\(error)")
            case .corrupt, .configuration, .denied, .system: break
            }
        default: break
        }
        log.error("a query failed", metadata: ["why": "\(error)"])
        let code = (error as? TraceError)?.code ?? .system
        return Self.error(.internalServerError, code.rawValue, "\(error)")
    }

    // MARK: Replies

    private static func error(
        _ status: HTTPResponse.Status,
        _ code: String,
        _ message: String,
        _ more: HTTPFields = [:]
    ) -> HTTPReply {
        let text = "{\"error\":{\"code\":\(quoted(code)),\"message\":\(quoted(message))}}\n"
        let headers: HTTPFields = [.cacheControl: "no-store"]
        return reply(status, "application/json", text.utf8, headers + more)
    }

    /// Returns a text as a JSON string.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private static func reply(
        _ status: HTTPResponse.Status,
        _ contentType: String,
        _ body: some Sequence<UInt8>,
        _ more: HTTPFields = [:]
    ) -> HTTPReply {
        var headers: HTTPFields = [.contentType: contentType]
        headers = headers + more
        protect(&headers)
        return HTTPReply(status: status, headers: headers, body: SharedBody(body))
    }

    /// Adds the headers that keep other sites, and names in traces, from acting in the console's name. Pages run only
    /// scripts of their own.
    private static func protect(_ headers: inout HTTPFields) {
        headers[.contentSecurityPolicy] =
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        headers[.xContentTypeOptions] = "nosniff"
        for (name, value) in [
            ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ] {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
    }
}
