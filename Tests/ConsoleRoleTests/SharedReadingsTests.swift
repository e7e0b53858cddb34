import Glibc
import HTTPServing
import Synchronization
import SystemIO
import Testing
import TraceFiles
import TraceModel

@testable import ConsoleRole

/// Tests which queries share a reading.
@Suite struct SharedReadingsTests {
    /// A reading that lasts until it is let go.
    private final class Source: Sendable {
        let count = Atomic(0)
        let mayEnd = Atomic(false)

        func read(_ selection: ProfileSelection) -> Int {
            let number = count.add(1, ordering: .relaxed).newValue
            // Only the first one is long.
            while number == 1, !mayEnd.load(ordering: .acquiring) { sched_yield() }
            return number
        }
    }

    private static func context(seconds: Double = 30) -> QueryContext {
        QueryContext(peer: HTTPPeer(), seconds: seconds)
    }

    @Test func whoAsksForTheSameWaitsForOneReading() async throws {
        let source = Source()
        let readings = SharedReadings { selection, _ in source.read(selection) }
        let threads = QueryThreads("test", count: 1, waitingMax: 1, waitSeconds: 1)
        let selection = ProfileSelection()
        let first = Task {
            try await threads.run { try readings.read(selection, .apart, since: 0, Self.context()) }
        }
        while source.count.load(ordering: .relaxed) == 0 { await Task.yield() }
        // It waits for the other's reading, and begins none of its own.
        #expect(throws: QueryFailure.late) {
            try readings.read(selection, .apart, since: .max, Self.context(seconds: 0.1))
        }
        #expect(source.count.load(ordering: .relaxed) == 1)
        // What is asked for is another selection, or may lack what was published since.
        var other = selection
        other.pid = 7
        #expect(try readings.read(other, .apart, since: 0, Self.context()) == 2)
        #expect(try readings.read(selection, .closed, since: 0, Self.context()) == 3)
        source.mayEnd.store(true, ordering: .releasing)
        #expect(try await first.value == 1)
        // Nothing is kept.
        #expect(try readings.read(selection, .apart, since: 0, Self.context()) == 4)
        threads.stop()
    }

    @Test func aReadingThatFailedIsRepeated() async throws {
        let source = Source()
        let readings = SharedReadings { selection, context in
            let number = source.read(selection)
            if number == 1 { throw QueryFailure.cancelled }
            return number
        }
        let threads = QueryThreads("test", count: 2, waitingMax: 1, waitSeconds: 1)
        let selection = ProfileSelection()
        let first = Task {
            try await threads.run { try readings.read(selection, .apart, since: 0, Self.context()) }
        }
        while source.count.load(ordering: .relaxed) == 0 { await Task.yield() }
        let second = Task {
            try await threads.run { try readings.read(selection, .apart, since: 0, Self.context()) }
        }
        source.mayEnd.store(true, ordering: .releasing)
        await #expect(throws: QueryFailure.cancelled) { try await first.value }
        #expect(try await second.value == 2)
        threads.stop()
    }
}
