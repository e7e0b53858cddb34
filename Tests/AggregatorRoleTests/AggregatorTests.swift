import ClusterMessages
import Foundation
import SystemIO
import Testing
import TraceMetrics
import TraceModel

/// Tests the real process over its socket and HTTP.
@Suite final class AggregatorTests {
    private let data: String

    init() throws {
        // The path is short because the length of socket paths is limited.
        data = FileManager.default.temporaryDirectory.path + "/agg-\(UUID().uuidString.prefix(8))"
        try FileSystem.createDirectory(data)
    }

    deinit { try? FileManager.default.removeItem(atPath: data) }

    /// Polls until the condition holds or the time is over.
    private func wait(
        _ what: String,
        isolation: isolated (any Actor)? = #isolation,
        until isRight: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            if try await isRight() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("never happened: \(what)")
    }

    /// Returns a worker's snapshot and its series, with a count of events in one slot.
    private static func workerMessages(
        events: Double,
        lsn: LSN,
        incarnation: UInt64 = 7
    ) -> [ClusterMessage] {
        var writer = SeriesWriter()
        writer.begin()
        writer.beginSection(slot: 3, lsn: lsn, isFull: true)
        writer.begin(SeriesSet(), count: 1)
        writer.add(.eventsTotal, events, ["function"])
        _ = writer.endSection()
        let snapshot = MetricSnapshot(
            process: "function.0",
            incarnation: incarnation,
            pid: 4_242,
            appliedLSN: lsn
        )
        let series = MetricSeries(
            process: "function.0",
            incarnation: incarnation,
            begins: true,
            sections: writer.take()
        )
        return [.metricSnapshot(snapshot), .metricSeries(series)]
    }

    private static func routerSnapshot(received: UInt64) throws -> ClusterMessage {
        let worker = try #require(WorkerName("function.0"))
        let status = RouterStatus(
            headLSN: 900,
            receivedEvents: received,
            workers: [WorkerLink(worker: worker, connected: true, lagBytes: 12)],
            window: 1,
            accepting: true
        )
        return .metricSnapshot(
            MetricSnapshot(process: "router", incarnation: 5, pid: 99, router: status)
        )
    }

    @Test func pagesAndStatusFollowTheMessages() async throws {
        let aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        #expect(try await aggregator.get("/healthz").status == 200)
        #expect(try await aggregator.get("/readyz").status == 503)
        #expect(try await aggregator.get("/nothing").status == 404)
        #expect(try await aggregator.status().router.pid == nil)

        let worker = try FabricPeer("function.0.e7", in: data)
        let router = try FabricPeer("router.e5", in: data)
        defer { for peer in [worker, router] { peer.end() } }
        for message in Self.workerMessages(events: 41, lsn: 800) { try worker.send(message) }
        try router.send(Self.routerSnapshot(received: 41))
        try await wait("ready") {
            // Real peers send these messages periodically.
            for message in Self.workerMessages(events: 41, lsn: 800) { try worker.send(message) }
            try router.send(Self.routerSnapshot(received: 41))
            return try await aggregator.get("/readyz").status == 200
        }
        // The aggregator introduces itself to a new peer, so that it sends all its metrics.
        try await wait("a heartbeat") { !worker.received.isEmpty }
        guard case .heartbeat(let hello)? = worker.received.first else {
            Issue.record("not a heartbeat: \(worker.received)")
            return
        }
        #expect(hello.process == "aggregator")
        #expect(Int(hello.pid) == aggregator.pid)

        let status = try await aggregator.status()
        #expect(status.ready)
        #expect(status.received_events == 41)
        #expect(status.written_events == 41)
        #expect(status.deduplicated_events == 0)
        #expect(status.dead_lettered_events == 0)
        #expect(status.rejected_events == 0)
        #expect(status.router.pid == 99)
        #expect(status.aggregator.pid == aggregator.pid)
        #expect(status.workers.map(\.name) == ["function.0"])
        let only = try #require(status.workers.first)
        #expect(only.resource == "function" && only.index == 0 && only.up)
        #expect(only.process.pid == 4_242)
        #expect(only.lag_bytes == 12)

        let plain = try await aggregator.get("/metrics")
        #expect(plain.type.hasPrefix("text/plain; version=0.0.4"))
        let text = String(decoding: plain.body, as: UTF8.self)
        let ours = "\ntrace_events_total{resource=\"function\"} 41\n"
        let original = "\nneutracer_traces_total{type=\"function\"} 41\n"
        #expect(text.contains(ours) && text.contains(original))
        let oursOnly = try await aggregator.text("/metrics?names=trace")
        #expect(oursOnly.contains(ours) && !oursOnly.contains("neutracer_traces_total"))
        let originalOnly = try await aggregator.text("/metrics?names=neutracer")
        #expect(originalOnly.contains(original) && !originalOnly.contains("trace_events_total"))
        let refused = try await aggregator.get("/metrics?names=else")
        #expect(refused.status == 400)
        let why = String(decoding: refused.body, as: UTF8.self)
        #expect(why.contains("names=trace") && why.contains("names=neutracer"))
        let open = try await aggregator.get(
            "/metrics",
            accept: "application/openmetrics-text;version=1.0.0"
        )
        #expect(open.type.hasPrefix("application/openmetrics-text; version=1.0.0"))
        #expect(open.body.suffix(6) == Data("# EOF\n".utf8))
        #expect(String(decoding: open.body, as: UTF8.self).contains(original))
        #expect(try await aggregator.text("/metrics/neutracer").contains("neutracer_traces_total"))
        #expect(try await aggregator.get("/").type.hasPrefix("text/html"))
        #expect(aggregator.end() == 0)
    }

    @Test func countersOutliveAKillAndASilentWorkerIsDown() async throws {
        var aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        let worker = try FabricPeer("function.0.e7", in: data)
        let router = try FabricPeer("router.e5", in: data)
        defer { for peer in [worker, router] { peer.end() } }
        for message in Self.workerMessages(events: 41, lsn: 800) { try worker.send(message) }
        // The worker stops sending; the router continues.
        try await wait("the worker is down, its events stay") {
            try router.send(Self.routerSnapshot(received: 41))
            let status = try await aggregator.status()
            return status.workers.first?.up == false && status.written_events == 41 && !status.ready
        }
        aggregator.end(kill: true)
        aggregator = try AggregatorProcess(data: data)
        let after = try await aggregator.status()
        #expect(after.written_events == 41)
        #expect(after.received_events == 41)
        // The peers reconnect by themselves; a worker that replays changes nothing.
        let successor = try FabricPeer("function.0.e8", in: data)
        defer { successor.end() }
        try await wait("ready again") {
            // Real peers send these messages periodically. Sent once, they could be too old when this test runs
            // late.
            for message in Self.workerMessages(events: 5, lsn: 100, incarnation: 8) {
                try successor.send(message)
            }
            try router.send(Self.routerSnapshot(received: 41))
            return try await aggregator.status().ready
        }
        #expect(try await aggregator.status().written_events == 41)
    }

    /// A worker that sends a message between two kills does not make the cluster ready.
    @Test func aProcessThatDoesNotStayUpMakesTheClusterNotReady() async throws {
        let service = "\(data)/run/services/function.0"
        try FileSystem.createDirectory(service)
        let aggregator = try AggregatorProcess(data: data)
        let worker = try FabricPeer("function.0.e7", in: data)
        let router = try FabricPeer("router.e5", in: data)
        defer {
            for peer in [worker, router] { peer.end() }
            aggregator.end()
        }
        func signs() throws {
            for message in Self.workerMessages(events: 1, lsn: 800) { try worker.send(message) }
            try router.send(Self.routerSnapshot(received: 1))
        }
        try await wait("ready") {
            try signs()
            return try await aggregator.status().ready
        }
        func note(ago: Int64) throws {
            let now = WallClock.now() / 1_000_000_000
            let lines = (Int64(0)..<5).map { "\(now - ago - 4 + $0) signal 9\n" }.joined()
            try Array(lines.utf8).withUnsafeBytes { try FileSystem.publish("\(service)/ends", $0) }
        }
        try note(ago: 0)
        try await wait("not ready, and why") {
            try signs()
            let status = try await aggregator.status()
            return !status.ready && status.workers.first?.up == true
                && status.problems.contains { $0.contains("function.0") && $0.contains("SIGKILL") }
        }
        #expect(try await aggregator.get("/readyz").status == 503)
        let sample = #"trace_process_recent_ends{process="function.0"} 5"#
        try await wait("the metric") { try await aggregator.text("/metrics").contains(sample) }
        #expect(try await aggregator.text("/").contains("does not stay up"))
        // It has been up since.
        try note(ago: 30)
        try await wait("ready again") {
            try signs()
            let status = try await aggregator.status()
            return status.ready && status.problems.isEmpty
        }
    }

    /// Without a supervisor that records ends (with systemd, for example), reconnecting processes are counted.
    @Test func aProcessThatComesBackAgainAndAgainIsNoticedWithoutASupervisor() async throws {
        let aggregator = try AggregatorProcess(data: data)
        let router = try FabricPeer("router.e5", in: data)
        defer {
            router.end()
            aggregator.end()
        }
        for incarnation in UInt64(1)...6 {
            let worker = try FabricPeer("function.0.e\(incarnation)", in: data)
            defer { worker.end() }
            try await wait("incarnation \(incarnation) is heard") {
                for message in Self.workerMessages(events: 1, lsn: 8, incarnation: incarnation) {
                    try worker.send(message)
                }
                try router.send(Self.routerSnapshot(received: 1))
                let metrics = try await aggregator.text("/metrics")
                let sample = "trace_process_recent_ends{process=\"function.0\"} \(incarnation - 1)"
                return metrics.contains(sample)
            }
        }
        let problems = try await aggregator.status().problems
        #expect(problems.contains { $0.contains("function.0 does not stay up") })
    }

    @Test func anEmptyWindowIsAnsweredToWorkerAndRouterAndAgainToAnEcho() async throws {
        var aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        let worker = try FabricPeer("function.0.e7", in: data)
        let router = try FabricPeer("router.e5", in: data)
        defer { for peer in [worker, router] { peer.end() } }
        try router.send(Self.routerSnapshot(received: 0))
        try await wait("the router is known") { !router.received.isEmpty }
        let closed = ClusterMessage.segmentsClosed(
            WindowFactory.announcement(
                window: 1,
                barrier: 500,
                WindowFactory.range(0...255, 0, 500)
            )
        )
        let merged = ClusterMessage.windowMerged(
            WindowMerged(resource: .function, window: 1, files: [])
        )
        try worker.send(closed)
        try await wait("both receive the merge") {
            worker.received.contains(merged) && router.received.contains(merged)
        }
        try worker.send(closed)
        try await wait("the echo is answered") { worker.received.count { $0 == merged } == 2 }
        aggregator.end(kill: true)
        aggregator = try AggregatorProcess(data: data)
        try worker.send(closed)
        try await wait("a successor knows") { worker.received.count { $0 == merged } == 3 }
        // A router that may have missed the message is sent it again.
        try router.send(Self.routerSnapshot(received: 0))
        try await wait("the router receives the merge again") {
            router.received.count { $0 == merged } == 2
        }
    }

    @Test func windowsThatWaitAreShownUntilTheyAreMerged() async throws {
        let aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        let worker = try FabricPeer("function.0.e7", in: data)
        defer { worker.end() }
        func announce(_ window: UInt64, from: LSN, to: LSN) throws {
            let slots = WindowFactory.range(0...255, from, to)
            let closed = WindowFactory.announcement(window: window, barrier: to, slots)
            try worker.send(.segmentsClosed(closed))
        }
        let series = "trace_merge_waiting_windows{resource=\"function\"}"
        // The first window is missing.
        try announce(2, from: 500, to: 900)
        try await wait("one window waits") {
            try await aggregator.text("/metrics").contains("\(series) 1\n")
        }
        #expect(try await aggregator.status().merging.waiting_windows == 1)
        try announce(1, from: 0, to: 500)
        try await wait("none waits") {
            try await aggregator.text("/metrics").contains("\(series) 0\n")
        }
        #expect(try await aggregator.status().merging.waiting_windows == 0)
    }

    @Test func twoAggregatorsShareNeitherADirectoryNorAPort() throws {
        let aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        let sameDirectory = try AggregatorProcess(data: data)
        #expect(sameDirectory.end() == 1)
        #expect(sameDirectory.log.contains("another aggregator"))
        let other = data + "/other"
        try FileSystem.createDirectory(other)
        let samePort = try AggregatorProcess(data: other, metrics: aggregator.address)
        #expect(samePort.end() == 1)
        #expect(samePort.log.contains("choose another port"))
    }

    @Test func wrongRequestsAreBoundedAndAnswered() async throws {
        let aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        let long = "GET / HTTP/1.1\r\nx: " + String(repeating: "a", count: 20_000)
        let cases = [
            (long, "431"), ("nonsense\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nConnection: close\r\n\r\n", "405"),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "413"),
            ("HEAD /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", "200"),
        ]
        for (request, code) in cases {
            let answer = try aggregator.exchange(request)
            #expect(answer.hasPrefix("HTTP/1.1 \(code) "), "\(request.prefix(20)): \(answer)")
        }
        // Two requests in one packet get two responses.
        let two = "GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
        let answers = try aggregator.exchange(two)
        #expect(answers.components(separatedBy: "HTTP/1.1 200 OK").count == 3)
        #expect(answers.hasSuffix("ok\n"))
    }

    @Test func damagedMetricsAreSetAsideAndCounted() async throws {
        var aggregator = try AggregatorProcess(data: data)
        _ = try await aggregator.status()
        #expect(aggregator.end() == 0)
        let path = data + "/checkpoints/aggregator.metrics"
        var bytes = try FileSystem.contents(path)
        bytes[bytes.count / 2] ^= 0x40
        for copy in [path, path + ".mirror"] {
            try bytes.withUnsafeBytes { try FileSystem.publish(copy, $0) }
        }
        aggregator = try AggregatorProcess(data: data)
        defer { aggregator.end() }
        let text = try await aggregator.text("/metrics")
        #expect(text.contains("trace_errors_total{kind=\"aggregator_state_damaged\"} 1\n"))
        #expect(FileSystem.exists(path + ".damaged"))
    }
}
