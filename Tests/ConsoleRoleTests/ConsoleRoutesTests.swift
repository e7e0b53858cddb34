import Foundation
import HTTPServing
import Synchronization
import Testing
import TraceModel

@testable import ConsoleRole

/// Tests what paths and parameters name.
@Suite struct ConsoleRoutesTests {
    @Test(arguments: [
        ("/api/v1/hosts", ConsoleRoutes.Target.query(.hosts)),
        ("/api/v1/openapi.json", .description), ("/api/v1/series", .series),
        ("/api/v1/files", .query(.files)),
        ("/api/v1/files/json/a%20b.json", .file("json/a b.json")),
        ("/api/v1/files/", .file("")), ("/api/v1/trace", .trace),
        ("/api/v1/files/..%2f..%2Fsecret", .file("../../secret")),
    ]) func aPathNamesATarget(_ path: String, _ target: ConsoleRoutes.Target) {
        #expect(ConsoleRoutes.Target(path) == target)
    }

    @Test(arguments: [
        "/api/v1/", "/api/v1/host", "/api/v1/hosts/", "/api/v2/hosts", "/api/v1/files/%", "/hosts",
        "/api/v1/files/%ff", "/api/v1/HOSTS",
    ]) func otherPathsNameNone(_ path: String) { #expect(ConsoleRoutes.Target(path) == nil) }

    @Test func parametersAreDecoded() throws {
        let query = "host=a%2Fb+c&pid=7&from=1.5&to=&resource=io"
        let known = ["host", "pid", "from", "to", "resource"]
        let parameters = try QueryParameters(query, known: known)
        #expect(parameters.text("host") == "a/b c")
        #expect(try parameters.processID() == 7)
        #expect(try parameters.span() == QuerySpan(from: 1_500_000_000, to: nil))
        #expect(try parameters.resource() == .io)
        #expect(try parameters.count("limit", standard: 9, max: 10) == 9)
    }

    @Test(arguments: ["other=1", "pid=1&pid=1", "pid=%4", "pid=%ff"])
    func aQueryThatIsNoneIsRefused(_ query: String) {
        #expect(throws: TraceError.self) { try QueryParameters(query, known: ["pid"]) }
    }

    @Test(arguments: [
        "pid=-1", "pid=+1", "pid=4294967296", "from=-1", "from=1e3", "from=.5", "from=5&to=4",
        "resource=disk", "limit=0", "limit=11", "limit=x",
    ]) func aWrongValueIsRefused(_ query: String) throws {
        let known = ["pid", "from", "to", "resource", "limit"]
        let parameters = try QueryParameters(query, known: known)
        #expect(throws: TraceError.self) {
            _ = try parameters.processID()
            _ = try parameters.span()
            _ = try parameters.resource()
            _ = try parameters.count("limit", standard: 5, max: 10)
        }
    }

    @Test func theDescriptionHasEveryEndpointWithItsParameters() throws {
        let tests = URL(fileURLWithPath: #filePath)
        let root = tests.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = root.appendingPathComponent("deploy/console/openapi.json")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        let paths = try #require((json as? [String: Any])?["paths"] as? [String: Any])
        func parameters(_ path: String) throws -> [String] {
            let entry = try #require(paths[path] as? [String: Any])
            let get = try #require(entry["get"] as? [String: Any])
            return (get["parameters"] as? [[String: Any]] ?? []).compactMap {
                $0["name"] as? String
            }
        }
        for endpoint in ConsoleQueries.Endpoint.allCases {
            #expect(try parameters("/\(endpoint.rawValue)") == endpoint.parameters)
        }
        let others = Set(paths.keys).subtracting(
            ConsoleQueries.Endpoint.allCases.map { "/\($0.rawValue)" }
        )
        #expect(try parameters("/trace") == TraceQuery.parameters)
        #expect(others == ["/files/{kind}/{name}", "/openapi.json", "/series", "/trace"])
    }

    // MARK: Threads

    /// Occupies all threads until `release`.
    private final class Gate: Sendable {
        private let lock = NSCondition()
        private let isOpen = Mutex(false)

        func wait() {
            lock.lock()
            while !isOpen.withLock({ $0 }) { lock.wait() }
            lock.unlock()
        }

        func release() {
            lock.lock()
            isOpen.withLock { $0 = true }
            lock.broadcast()
            lock.unlock()
        }
    }

    @Test func whatWaitsTooLongIsRefused() async throws {
        let threads = QueryThreads("test", count: 2, waitingMax: 1, waitSeconds: 0.05)
        let gate = Gate()
        let running = (0..<2).map { number in
            Task {
                try await threads.run {
                    gate.wait()
                    return number
                }
            }
        }
        // Both threads are taken once a further call is refused.
        while (try? await threads.run { 0 }) != nil {}
        await #expect(throws: QueryFailure.busy) { try await threads.run { 1 } }
        gate.release()
        for (number, task) in running.enumerated() { #expect(try await task.value == number) }
        #expect(try await threads.run { 7 } == 7)
        threads.stop()
        await #expect(throws: QueryFailure.cancelled) { try await threads.run { 1 } }
    }

    @Test func aQueryEndsAtItsDeadline() {
        let peer = HTTPPeer()
        #expect(throws: Never.self) { try QueryContext(peer: peer).check() }
        #expect(throws: QueryFailure.late) { try QueryContext(peer: peer, seconds: 0).check() }
    }
}
