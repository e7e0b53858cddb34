import TraceMetrics
import TraceModel

/// Which page a request asks for, in which form.
struct PageRoutes: Sendable {
    private let pages: PageThread

    init(_ pages: PageThread) { self.pages = pages }

    func respond(to request: HTTPRequest) async -> HTTPReply {
        // Alive means that this process answers; how the others do is for readiness to say.
        if request.path == "/healthz" { return .text(.ok, "ok") }
        guard let content = Self.content(request) else {
            return .text(.notFound, "no such page; there are / /metrics /status /healthz /readyz")
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

    static func content(_ request: HTTPRequest) -> Page.Content? {
        switch request.path {
        case "/metrics": .metrics(format(request.accept))
        case "/metrics/neutracer": .neutracer
        case "/status": .status
        case "/readyz": .readiness
        case "/": .overview
        default: nil
        }
    }

    /// OpenMetrics for those who name it and don't prefer the plain text.
    private static func format(_ accept: String) -> Exposition.Format {
        let wanted = QualityList(accept)
        let openMetrics = wanted.weight(of: "application/openmetrics-text")
        return openMetrics > 0 && openMetrics >= wanted.weight(of: "text/plain")
            ? .openMetrics : .text
    }
}
