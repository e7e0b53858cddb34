import Foundation
import HTTPServing
import Logging
import SystemIO
import Testing
import TraceFiles
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// Tests which pages are built and which are served again.
@Suite final class PageThreadTests {
    private let directory = NSTemporaryDirectory() + "pages-" + UUID().uuidString

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private static let metrics = Page(content: .metrics(.trace, .text), isCompressed: false)
    private static let status = Page(content: .status, isCompressed: false)

    /// Runs `body` while the thread runs.
    private func withPages(
        seconds: Int,
        _ body: (SharedState, PageThread) async throws -> Void
    ) async throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let pages = try PageThread(
            shared: shared,
            archive: MetricArchive(store: directory + "/store", journal: directory + "/journal"),
            pid: 1,
            pageSeconds: seconds,
            log: Logger(label: "test")
        )
        let thread = pages.start()
        defer {
            pages.stop()
            thread.join()
        }
        try await body(shared, pages)
    }

    private static func count(_ loss: LossKind, in shared: SharedState) {
        shared.withLock { $0.count(loss) }
    }

    private static func failures(_ page: String) -> Int? {
        page.split(separator: "\n").first {
            $0.hasPrefix("trace_errors_total{kind=\"merge_failed\"}")
        }.flatMap {
            Int($0.split(separator: " ")[1])
        }
    }

    @Test func aPageIsServedAgainWithinItsAge() async throws {
        try await withPages(seconds: 3_600) { shared, pages in
            let first = try await pages.answer(Self.metrics).text
            Self.count(.mergeFailed, in: shared)
            let second = try await pages.answer(Self.metrics).text
            #expect(Self.failures(first) == 0)
            #expect(second == first, "what happened since is not in it")
        }
    }

    @Test func anOldPageIsMadeAnewWhereSomethingHappened() async throws {
        try await withPages(seconds: 0) { shared, pages in
            let first = try await pages.answer(Self.metrics).text
            Self.count(.mergeFailed, in: shared)
            let second = try await pages.answer(Self.metrics).text
            #expect(Self.failures(first) == 0 && Self.failures(second) == 1)
        }
    }

    @Test func theStatusSaysHowFarMergesAre() async throws {
        try await withPages(seconds: 0) { shared, pages in
            func merging() async throws -> [String: Any]? {
                // The fabric thread counts in the same way.
                Self.count(.mergeFailed, in: shared)
                let page = try await pages.answer(Self.status).text
                let data = Data(page.utf8)
                let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
                return object?["merging"] as? [String: Any]
            }
            let quiet = try #require(try await merging())
            #expect(quiet["waiting_windows"] as? Int == 0 && quiet["current"] == nil)
            var progress = MergeProgress(bytesTotal: 500)
            progress.bytesDone = 200
            let current = MergeState.Current(resource: .io, window: 7, progress: progress)
            shared.withLock {
                $0.merging = MergeState(waiting: [.io: 2, .cpu: 1], current: current)
            }
            let busy = try #require(try await merging())
            #expect(busy["waiting_windows"] as? Int == 3)
            let object = try #require(busy["current"] as? [String: Any])
            #expect(object["resource"] as? String == "io" && object["window"] as? Int == 7)
            #expect(object["merged_bytes"] as? Int == 200 && object["total_bytes"] as? Int == 500)
        }
    }

    /// A silent process is shown immediately, however recent the last page is.
    @Test func aProcessFoundSilentIsShownAtOnce() async throws {
        try await withPages(seconds: 3_600) { shared, pages in
            let first = try await pages.answer(Self.metrics).text
            shared.withLock { content in
                content.silences += 1
                content.count(.mergeFailed)
            }
            let second = try await pages.answer(Self.metrics).text
            #expect(Self.failures(first) == 0 && Self.failures(second) == 1)
            Self.count(.mergeFailed, in: shared)
            #expect(try await pages.answer(Self.metrics).text == second)
        }
    }

    /// A client that polls until the cluster is ready does not wait for the lifetime of a page.
    @Test(.timeLimit(.minutes(1))) func aStatusThatIsNotReadyIsSoonMadeAnew() async throws {
        try await withPages(seconds: 3_600) { shared, pages in
            let first = try await pages.answer(Self.status)
            #expect(!first.isReady)
            let progress = MergeProgress(bytesTotal: 500)
            let current = MergeState.Current(resource: .io, window: 7, progress: progress)
            shared.withLock {
                $0.merging = MergeState(waiting: [:], current: current)
                $0.count(.mergeFailed)
            }
            while try await pages.answer(Self.status).text == first.text {
                try Task.checkCancellation()
            }
        }
    }

    /// Metrics requested after a status are never older than it.
    @Test func metricsFollowTheStatus() async throws {
        try await withPages(seconds: 3_600) { shared, pages in
            _ = try await pages.answer(Self.status)
            Self.count(.mergeFailed, in: shared)
            let page = try await pages.answer(Self.metrics).text
            #expect(Self.failures(page) == 1)
        }
    }
}

extension PageThread.Answer {
    fileprivate var text: String { body.withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
}
