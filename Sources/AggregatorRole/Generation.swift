import Compression
import Foundation
import SystemIO
import TraceMetrics
import TraceModel

/// All pages of one reading of the shared state. Pages are rendered when they are first asked for.
struct Generation {
    let reading: MetricReading
    let status: ClusterStatus
    /// Whether the reading has the families.
    let hasFamilies: Bool
    /// As in `SharedState`, when the reading was taken.
    let silences: Int
    /// Monotonic nanoseconds.
    let builtAt: Int64
    private let time = WallClock.now()
    private var rendered: [Page: Data] = [:]

    init(
        reading: MetricReading,
        status: ClusterStatus,
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

    /// The page's bytes; some 100 ms for 50,000 series the first time.
    mutating func data(of page: Page) throws -> Data {
        if let data = rendered[page] { return data }
        let data: Data
        if page.isCompressed {
            let plain = try self.data(of: Page(content: page.content, isCompressed: false))
            data = Data(try plain.withUnsafeBytes { try Gzip.compress($0) })
        } else {
            data = try render(page.content)
        }
        rendered[page] = data
        return data
    }

    private func render(_ content: Page.Content) throws -> Data {
        switch content {
        case .metrics(let names, let format):
            Data(Exposition.render(reading, names, format, now: time))
        case .status: try status.json()
        case .readiness: Data((status.ready ? "ready\n" : "not ready\n").utf8)
        case .overview: Data(OverviewPage.html(status).utf8)
        }
    }
}
