import Compression
import HTTPServing
import SystemIO
import TraceMetrics
import TraceModel

/// Pages of one snapshot of the shared state. Each page is rendered at its first request.
struct SnapshotVersion {
    let reading: MetricReading
    let status: StatusPage
    /// Whether the reading includes the metric families.
    let hasFamilies: Bool
    /// The value of `SharedState.Content.silences` when the reading was taken.
    let silences: Int
    /// Monotonic nanoseconds.
    let builtAt: Int64
    private let time = WallClock.now()
    private var rendered: [Page: SharedBody] = [:]

    init(
        reading: MetricReading,
        status: StatusPage,
        hasFamilies: Bool,
        silences: Int,
        builtAt: Int64
    ) {
        self.reading = reading
        self.silences = silences
        self.hasFamilies = hasFamilies
        self.status = status
        self.builtAt = builtAt
    }

    /// Returns the page's bytes. The first call for a page takes about 100 ms for 50,000 series.
    mutating func body(of page: Page) throws -> SharedBody {
        if let body = rendered[page] { return body }
        let body: SharedBody
        if page.isCompressed {
            let plain = try self.body(of: Page(content: page.content, isCompressed: false))
            body = unsafe SharedBody(try plain.withUnsafeBytes { try unsafe Gzip.compress($0) })
        } else {
            body = try render(page.content)
        }
        rendered[page] = body
        return body
    }

    private func render(_ content: Page.Content) throws -> SharedBody {
        switch content {
        case .metrics(let names, let format):
            SharedBody(Exposition.render(reading, names, format, now: time))
        case .status: SharedBody(try status.json())
        case .readiness: SharedBody((status.ready ? "ready\n" : "not ready\n").utf8)
        case .overview: SharedBody(OverviewPage.html(status).utf8)
        }
    }
}
