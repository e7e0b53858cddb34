import AgentEmulator
import Testing
import TraceModel
import TraceWire

/// What holds of the fields of a sampling agent, by arithmetic that is not the agent's own.
@Suite struct NeutracerDialectTests {
    private static let intervals: [Resource: Int64] = [
        .function: 100, .memory: 100, .network: 10, .io: 10, .cpu: 10_000, .gpu: 0,
    ]

    @Test(arguments: [0, 1]) func samplingSkipsWhatFollowsTooSoonAndNothingElse(process: Int) {
        let run = Runs.standard
        var expected: [Resource: [Int64]] = [:]
        for happening in run.program.happenings where happening.process == process {
            let resource = resource(of: happening.action)
            let last = expected[resource]?.last ?? .min / 2
            if happening.time - last >= Self.intervals[resource] ?? 0 {
                expected[resource, default: []].append(happening.time)
            }
        }
        var sent: [Resource: [Int64]] = [:]
        for event in run.sent(process: process) {
            sent[event.event.resource, default: []].append(event.happening.time)
        }
        #expect(sent == expected)
    }

    @Test func somethingOfEachSampledKindIsSkipped() throws {
        let (sampled, all) = (
            Runs.standard.truth.eventsSent, Runs.standardCumulative.truth.eventsSent
        )
        for resource in Resource.allCases {
            let (sent, happened) = (
                try #require(sampled[resource.name]), try #require(all[resource.name])
            )
            if resource == .gpu { #expect(sent == happened) } else { #expect(sent < happened) }
        }
        // Half of what happens with functions, so that most calls have no proved pair.
        let (sent, happened) = (try #require(sampled["function"]), try #require(all["function"]))
        #expect((0.3...0.7).contains(Double(sent) / Double(happened)))
    }

    @Test func withOneThreadTheDifferencesOfTheNetworkAddUp() throws {
        let events = Runs.standard.networkEvents(process: 1)
        let truth = try Runs.standard.truth(process: 1).network
        #expect(events.allSatisfy { $0.txBytes < 1 << 63 && $0.rxBytes < 1 << 63 })
        #expect(events.reduce(0) { $0 + $1.txBytes } == truth.txBytes)
        #expect(events.reduce(0) { $0 + $1.rxBytes } == truth.rxBytes)
    }

    /// All of them together are the counter of the thread that sent the last event.
    @Test func withSeveralThreadsTheDifferencesWrap() throws {
        let run = Runs.standard
        let events = run.networkEvents(process: 0)
        #expect(events.contains { $0.txBytes >= 1 << 63 })
        #expect(events.contains { $0.rxBytes >= 1 << 63 })
        let last = try #require(run.sent(process: 0).last { $0.event.resource == .network })
        var counted: (tx: UInt64, rx: UInt64) = (0, 0)
        for happening in run.program.happenings where happening.time <= last.happening.time {
            guard case .packet(let packet) = happening.action, happening.process == 0,
                happening.thread == last.happening.thread
            else { continue }
            if packet.isSend { counted.tx += packet.bytes } else { counted.rx += packet.bytes }
        }
        #expect(events.reduce(0) { $0 &+ $1.txBytes } == counted.tx)
        #expect(events.reduce(0) { $0 &+ $1.rxBytes } == counted.rx)
    }

    @Test func packetsAreCountedByThread() throws {
        var last: [UInt32: (tx: UInt64, rx: UInt64, connections: UInt32)] = [:]
        for event in Runs.standard.networkEvents(process: 0) {
            let before = last[event.pid, default: (0, 0, 0)]
            #expect(event.txPackets >= before.tx && event.rxPackets >= before.rx)
            #expect(event.activeConnections >= before.connections)
            last[event.pid] = (event.txPackets, event.rxPackets, event.activeConnections)
        }
        #expect(last.count == 3)
        let truth = try Runs.standard.truth(process: 0).network
        #expect(last.values.reduce(0) { $0 + Int($1.tx) } == truth.txPackets)
        #expect(last.values.reduce(0) { $0 + Int($1.rx) } == truth.rxPackets)
        // A connection used in both directions counts twice with the agent.
        let connections = last.values.reduce(0) { $0 + Int($1.connections) }
        #expect(connections > truth.connections && connections <= 2 * truth.connections)
    }

    @Test(arguments: [0, 1]) func differencesOfMemoryAndIOAddUp(process: Int) throws {
        let truth = try Runs.standard.truth(process: process)
        let memory = Runs.standard.memoryEvents(process: process)
        #expect(near(memory.reduce(0) { $0 + $1.totalAllocs }, truth.memory.allocatedBytes))
        #expect(near(memory.reduce(0) { $0 + $1.totalFrees }, truth.memory.freedBytes))
        let disk = Runs.standard.diskEvents(process: process)
        #expect(near(disk.reduce(0) { $0 + $1.readBytes }, truth.io.readBytes))
        #expect(near(disk.reduce(0) { $0 + $1.writeBytes }, truth.io.writeBytes))
        #expect(disk.last?.readOperations == UInt64(truth.io.readOperations))
        #expect(disk.last?.writeOperations == UInt64(truth.io.writeOperations))
        // Read latencies are around 0.4 ms, which the agent tells in microseconds.
        let last = try #require(disk.last)
        #expect((300...600).contains(last.averageReadLatencyMilliseconds))
    }

    /// What was skipped after the last event that was sent is not known to anyone.
    private func near(_ reported: UInt64, _ truth: UInt64) -> Bool {
        reported <= truth && Double(reported) >= 0.999 * Double(truth)
    }

    @Test func timesOnTheCPUAreWorthlessAndUtilizationIsNot() throws {
        let events = Runs.standard.cpuEvents(process: 0)
        let truth = try Runs.standard.truth(process: 0).cpu
        let last = try #require(events.last)
        #expect(Double(last.onCPUMicroseconds) > 1_000e6 * truth.seconds / 10)
        #expect(events.allSatisfy { (0...1).contains($0.hotspotPercent) })
        let mean = events.reduce(0) { $0 + $1.utilizationPercent } / Double(events.count)
        #expect(abs(mean / 100 * 20 - truth.seconds) < 0.05 * truth.seconds)
    }

    @Test func countersOfAnHourBeginAnewAndNothingIsLost() throws {
        let run = Runs.hourly
        for process in [0, 1] {
            let truth = try run.truth(process: process)
            let memory = run.memoryEvents(process: process)
            #expect(near(memory.reduce(0) { $0 + $1.totalAllocs }, truth.memory.allocatedBytes))
            let operations = run.diskEvents(process: process).map(\.readOperations)
            #expect(falls(operations) == 1)
            #expect(falls(run.cpuEvents(process: process).map(\.onCPUMicroseconds)) == 1)
            #expect(falls(run.cpuEvents(process: process).map(\.migrations)) == 1)
            let disk = run.diskEvents(process: process)
            #expect(near(disk.reduce(0) { $0 + $1.readBytes }, truth.io.readBytes))
            // Those of functions and kernels are not reset.
            for function in truth.functions.values {
                #expect(Double(function.callsLastSent) >= 0.9 * Double(function.calls))
            }
        }
        #expect(falls(Runs.standard.diskEvents(process: 0).map(\.readOperations)) == 0)
        #expect(falls(Runs.standard.cpuEvents(process: 0).map(\.migrations)) == 0)
    }

    private func falls<T: Comparable>(_ values: [T]) -> Int {
        zip(values, values.dropFirst()).count { $1 < $0 }
    }
}
