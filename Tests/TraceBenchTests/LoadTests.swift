import GRPCServices
import GRPCTransport
import OperatorTools
import Testing
import TraceBench
import TraceModel
import TraceTime

/// Loads against a server in the same process that counts what comes.
@Suite struct LoadTests {
    private func load(_ change: (inout LoadPlan) -> Void) throws -> (LoadOutcome, CountingServer) {
        var plan = LoadPlan()
        plan.batchEvents = 10
        plan.encodedEvents = 200
        change(&plan)
        let server = try CountingServer()
        defer { server.shutdown() }
        let traffic = Traffic(plan, zone: try TimeZoneRules.configure("UTC"))
        let generator = LoadGenerator(
            plan,
            server: try ServerConnection(to: server.address, files: ServerConnection.Files()),
            traffic: traffic
        )
        defer { generator.close() }
        return (try generator.load(seconds: 0.2), server)
    }

    @Test func aClosedLoopCountsEachAckOnce() throws {
        let (outcome, server) = try load { plan in
            plan.agents = 2
            plan.pace = .closed(inFlight: 4)
        }
        #expect(outcome.batches > 0)
        #expect(outcome.batches == server.batches)
        #expect(outcome.bytes == server.bytes)
        #expect(outcome.events == outcome.batches * 10)
        #expect(outcome.latency.count == outcome.batches)
        #expect(outcome.eventsPerSecond > 0)
    }

    @Test func anOpenLoopSendsWhatIsDueAndNoMore() throws {
        let (outcome, server) = try load { $0.pace = .open(eventsPerSecond: 1_000) }
        // 100 batches a second, for 0.2 s.
        #expect(outcome.batches == 20)
        #expect(server.batches == 20)
    }

    @Test func streamsAreSentAndAcknowledgedToTheirEnd() throws {
        let (outcome, server) = try load { plan in
            plan.streams = 2
            plan.pace = .closed(inFlight: 3)
        }
        #expect(outcome.batches > 0)
        #expect(outcome.batches == server.batches)
        #expect(outcome.latency.count == outcome.batches)
    }

    @Test func aServerThatIsNotThereEndsTheLoad() throws {
        var plan = LoadPlan()
        plan.encodedEvents = 1_000
        let traffic = Traffic(plan, zone: try TimeZoneRules.configure("UTC"))
        let generator = LoadGenerator(
            plan,
            server: try ServerConnection(to: "127.0.0.1:1", files: ServerConnection.Files()),
            traffic: traffic
        )
        defer { generator.close() }
        #expect(throws: TraceError.self) { try generator.load(seconds: 5) }
    }
}
