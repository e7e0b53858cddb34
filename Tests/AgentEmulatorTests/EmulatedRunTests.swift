import AgentEmulator
import Testing
import TraceModel
import TraceWire

@Suite struct EmulatedRunTests {
    @Test(arguments: [(Semantics.neutracer, Scenario.complete), (.cumulative, .anomalies)])
    func theSameSeedGivesTheSameBytes(dialect: Semantics, scenario: Scenario) {
        let (first, second) = (Runs.run(dialect, scenario), Runs.run(dialect, scenario))
        #expect(first.batches == second.batches && first.truth == second.truth)
        let other = Runs.run(dialect, scenario, seed: 8)
        #expect(first.batches != other.batches && first.truth != other.truth)
    }

    @Test func theStandardProgramIsAsBusyAsIntended() throws {
        let truth = Runs.standard.truth
        let functions = truth.processes.values.flatMap(\.functions)
        let launches = functions.filter { $0.key == "cudaLaunchKernel" }.map(\.value)
        #expect((70_000...80_000).contains(launches.reduce(0) { $0 + $1.calls }))
        #expect(launches.allSatisfy { (25...35).contains($0.meanMicroseconds) })
        #expect((9...11).contains(truth.processes.values.reduce(0) { $0 + $1.cpu.seconds }))
        let packets = truth.processes.values.reduce(0) {
            $0 + $1.network.txPackets + $1.network.rxPackets
        }
        #expect((9_000...13_000).contains(packets))
        #expect(truth.rules.isEmpty)
        #expect(functions.allSatisfy { $0.value.calls == $0.value.finished })
        // A function is open on several threads at once, and in itself.
        #expect(mostOpen(.launchKernel).threads > 1)
        #expect(mostOpen(.traverse).inOneThread == 3)
    }

    private func mostOpen(_ function: ProgramFunction) -> (threads: Int, inOneThread: Int) {
        var open: [UInt32: Int] = [:]
        var most = (threads: 0, inOneThread: 0)
        for happening in Runs.standard.program.happenings {
            switch happening.action {
            case .enter(function): open[happening.thread, default: 0] += 1
            case .leave(function, _): open[happening.thread, default: 0] -= 1
            default: continue
            }
            most.threads = max(most.threads, open.values.count { $0 > 0 })
            most.inOneThread = max(most.inOneThread, open.values.max() ?? 0)
        }
        return most
    }

    @Test(arguments: Scenario.allCases) func bothDialectsTellOfTheSameTruth(scenario: Scenario) {
        let (one, other) = (Runs.shared(.neutracer, scenario), Runs.shared(.cumulative, scenario))
        #expect(truthOnly(one) == truthOnly(other))
        #expect(one.truth.rules == other.truth.rules)
    }

    /// Without what depends on the dialect.
    private func truthOnly(_ run: EmulatedRun) -> [String: ProcessTruth] {
        run.truth.processes.mapValues {
            var truth = $0
            truth.eventsSent = [:]
            (truth.network.txBytesSent, truth.network.rxBytesSent) = (0, 0)
            truth.functions = truth.functions.mapValues { function in
                var truth = FunctionTruth(cookie: function.cookie)
                truth.calls = function.calls
                truth.finished = function.finished
                truth.durationSum = function.durationSum
                truth.meanMicroseconds = function.meanMicroseconds
                return truth
            }
            return truth
        }
    }

    @Test(arguments: [Scenario.complete, .anomalies])
    func whereNothingIsSkippedBothDialectsSendTheSameEvents(
        scenario: Scenario
    ) {
        let (one, other) = (Runs.run(.neutracer, scenario), Runs.run(.cumulative, scenario))
        #expect(one.sent.count == one.program.happenings.count)
        #expect(one.truth.eventsSent == other.truth.eventsSent)
        for (pid, process) in one.truth.processes {
            let pairs = process.functions.mapValues { [$0.pairs, Int($0.pairMillisecondsSum)] }
            let others = other.truth.processes[pid]?.functions.mapValues {
                [$0.pairs, Int($0.pairMillisecondsSum)]
            }
            #expect(pairs == others)
            #expect(process.functions.values.allSatisfy { $0.pairs == $0.calls })
            #expect(process.functions.values.allSatisfy { $0.pairsOfTwoCalls == 0 })
        }
    }

    @Test(arguments: [Scenario.complete, .anomalies])
    func whereNothingIsSkippedEachEventHasAMillisecondOfItsOwn(
        scenario: Scenario
    ) {
        let times = Runs.run(.neutracer, scenario).program.happenings.map(\.time)
        #expect(times.allSatisfy { $0 % 1_000 == 0 })
        let shortest: Int64 = scenario == .complete ? 2_000 : 1_000
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= shortest })
    }

    @Test func runningTotalsEndAtTheTruth() throws {
        let run = Runs.standardCumulative
        for process in [0, 1] {
            let truth = try run.truth(process: process)
            let network = try #require(run.networkEvents(process: process).last)
            #expect(
                network.txBytes == truth.network.txBytes && network.rxBytes == truth.network.rxBytes
            )
            #expect(Int(network.activeConnections) == truth.network.connections)
            let disk = try #require(run.diskEvents(process: process).last)
            #expect(disk.readBytes == truth.io.readBytes && disk.writeBytes == truth.io.writeBytes)
            let memory = try #require(run.memoryEvents(process: process).last)
            #expect(Int(memory.totalAllocs) == truth.memory.allocations)
            let cpu = try #require(run.cpuEvents(process: process).last)
            #expect(abs(Double(cpu.onCPUMicroseconds) / 1e6 - truth.cpu.seconds) < 1e-6)
            #expect(truth.functions.values.allSatisfy { $0.pairs == $0.calls })
        }
    }

    @Test func theSourceIsTheSenderOrTheProcess() {
        let address = "10.2.0.4"
        for event in Runs.run(.neutracer, .complete).networkEvents(process: 0) {
            #expect((event.isSend ? event.sourceAddress : event.destinationAddress) == address)
        }
        let events = Runs.run(.cumulative, .complete).networkEvents(process: 0)
        #expect(events.allSatisfy { $0.sourceAddress == address })
        #expect(events.contains { !$0.isSend } && events.contains { $0.isSend })
    }

    // MARK: Batches

    @Test(arguments: [Semantics.neutracer, .cumulative]) func batchesGoAsSoonAsABufferIsFull(
        dialect: Semantics
    ) throws {
        let run = dialect == .neutracer ? Runs.standard : Runs.standardCumulative
        var sent: [String: Int] = [:]
        let agents = dialect == .neutracer ? 2 : 1
        for (number, batch) in run.batches.enumerated() {
            var index = EventIndex()
            let summary = try batch.withUnsafeBytes { try BatchScanner.scan($0, into: &index) }
            let counts = Resource.allCases.map { summary.count(of: $0) }
            if number < run.batches.count - agents {
                #expect(counts.max() == 100)
                #expect(counts.count { $0 == 100 } == 1)
            }
            for resource in Resource.allCases {
                sent[resource.name, default: 0] += summary.count(of: resource)
            }
            #expect(summary.semantics == (dialect == .cumulative ? .cumulative : nil))
            #expect(summary.clientID.isEmpty && summary.host.isEmpty && !summary.isLastBatch)
        }
        #expect(sent == run.truth.eventsSent)
    }

    @Test func namesAreSentOnRequest() {
        let plain = Runs.run(.cumulative, .complete)
        let named = Runs.run(.cumulative, .complete, sendsNames: true)
        #expect(named.batches.dropFirst() == plain.batches.dropFirst())
        #expect(named.batches[0].count > plain.batches[0].count)
        let agent = Runs.run(.neutracer, .complete, sendsNames: true)
        #expect(agent.batches == Runs.run(.neutracer, .complete).batches)
    }

    @Test func stampsAreCutToMilliseconds() {
        let stamps = Runs.standard.memoryEvents(process: 0).map(\.timestamp)
        #expect(stamps.allSatisfy { $0.utf8.count == 23 })
        #expect(stamps.first?.hasPrefix("2025-10-09 08:53:20.00") == true)
        #expect(stamps.last?.hasPrefix("2025-10-09 08:53:39.9") == true)
        #expect(stamps == stamps.sorted())
        // Many share one.
        #expect(Set(stamps).count < stamps.count)
    }

    @Test func stampsKnowTheCalendar() {
        var options = EmulatedRun.Options(seed: 1, dialect: .neutracer, scenario: .complete)
        options.start = 1_709_251_199  // 2024-02-29 23:59:59
        let stamps = EmulatedRun(options).diskEvents(process: 0).map(\.timestamp)
        #expect(stamps.first?.hasPrefix("2024-02-29 23:59:59.0") == true)
        #expect(stamps.last?.hasPrefix("2024-03-01 00:00:28.8") == true)
    }
}
