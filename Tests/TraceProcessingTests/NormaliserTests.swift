import AgentEmulator
import Foundation
import SystemIO
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What is made of events in either dialect: sums are the agent's own, and nothing spoils them for good.
@Suite struct NormaliserTests {
    // MARK: Anything

    /// Any value in any field, times in any order: output stays readable, counters never fall, state is all there is.
    @Test(arguments: Resource.allCases, [Semantics.neutracer, .cumulative])
    func anyValuesSpoilNothing(
        resource: Resource,
        semantics: Semantics
    ) throws {
        for seed in UInt64(0)..<6 {
            let bench = try ProcessorBench(resource)
            let saved = try ProcessorBench(resource)
            var random = EventRandom(seed: seed)
            var before: [Samples.Key: Double] = [:]
            for round in 0..<12 {
                var batch = BatchEncoder()
                for _ in 0..<40 { batch.appendAnything(of: resource, round: round, &random) }
                let arrival = ProcessorBench.start + Int64(round) * 1_000_000_000
                for bench in [bench, saved] {
                    try bench.send(Array(batch.bytes), arrival: arrival, semantics: semantics)
                    try bench.processor.tick(arrival: arrival)
                }
                for slot in Set((1...2).map(saved.slot(of:))) {
                    try saved.load(saved.state(of: slot), of: slot)
                }
                let counters = bench.samples().counters
                for (key, value) in before {
                    #expect(counters[key] ?? -1 >= value, "\(key) fell, seed \(seed)")
                }
                before = counters
                guard round == 6 else { continue }
                for bench in [bench, saved] { #expect(try !bench.output().events.isEmpty) }
            }
            for slot in Set((1...2).map(bench.slot(of:))) {
                let isSame = bench.state(of: slot) == saved.state(of: slot)
                #expect(isSame, "seed \(seed)")
            }
            #expect(try !bench.output().events.isEmpty)
            #expect(try bench.summary() != nil)
        }
    }

    // MARK: Sums of a NEUTRACER agent

    private static let seeds = UInt64(1)...12

    /// Threads take turns, some events are left out, and in the middle the agent counts anew.
    @Test(arguments: seeds, [1, 3]) func networkSumsAreTheAgents(
        seed: UInt64,
        threadCount: Int
    ) throws {
        struct Traffic {
            var bytes: [UInt64] = [0, 0]
            var packets: [UInt64] = [0, 0]
        }
        var random = SplitMix(seed: seed)
        let bench = try ProcessorBench(.network)
        var threads = [Traffic](repeating: Traffic(), count: threadCount)
        var lastSent = Traffic()
        var sentOfThread = threads
        var expected = Traffic()
        var wrapped = [0, 0]
        let count = 1_200
        for number in 0..<count {
            if number == count / 2 {
                for direction in 0..<2 {
                    for thread in sentOfThread {
                        expected.bytes[direction] += thread.bytes[direction]
                        expected.packets[direction] += thread.packets[direction]
                    }
                }
                threads = threads.map { _ in Traffic() }
                sentOfThread = threads
            }
            let thread = random.below(threadCount)
            let isSend = random.below(3) > 0
            let bytes = UInt64(40 + random.below(1_460))
            threads[thread].bytes[isSend ? 0 : 1] += bytes
            threads[thread].packets[isSend ? 0 : 1] += 1
            // The first event after a beginning is always sent.
            guard number % (count / 2) == 0 || random.below(4) > 0 else { continue }
            var event = BatchEncoder.Network()
            event.timestamp = ProcessorBench.timestamp(number / 3)
            (event.tgid, event.pid) = (50, UInt32(50 + thread))
            (event.isSend, event.bytes) = (isSend, bytes)
            event.txBytes = threads[thread].bytes[0] &- lastSent.bytes[0]
            event.rxBytes = threads[thread].bytes[1] &- lastSent.bytes[1]
            event.txPackets = threads[thread].packets[0]
            event.rxPackets = threads[thread].packets[1]
            wrapped[0] += event.txBytes >= 1 << 63 ? 1 : 0
            wrapped[1] += event.rxBytes >= 1 << 63 ? 1 : 0
            lastSent = threads[thread]
            sentOfThread[thread] = threads[thread]
            try bench.send(semantics: .neutracer) { $0.append(event) }
        }
        let samples = bench.samples()
        for (direction, name) in ["tx", "rx"].enumerated() {
            for thread in sentOfThread {
                expected.bytes[direction] += thread.bytes[direction]
                expected.packets[direction] += thread.packets[direction]
            }
            #expect(samples.value(.networkBytesTotal, name) == Double(expected.bytes[direction]))
            #expect(
                samples.value(.networkPacketsTotal, name) == Double(expected.packets[direction])
            )
            let invalid = samples.value(.valuesInvalidTotal, "network", "\(name)_bytes")
            #expect(invalid ?? 0 == Double(wrapped[direction]))
        }
        #expect(samples.value(.networkBytesSampled) == (threadCount > 1 ? 1 : nil))
        #expect(threadCount == 1 || wrapped[0] > 10)
    }

    @Test(arguments: seeds) func operationsAndBytesAreTheAgents(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let bench = try ProcessorBench(.io)
        // Of reads and writes.
        var (bytes, operations) = ([0, 0] as [UInt64], [0, 0] as [UInt64])
        var lastSent = bytes
        var (sumBytes, sumOperations) = (bytes, operations)
        var counted = operations
        for number in 0..<800 {
            if number == 400 { (bytes, operations, counted) = ([0, 0], [0, 0], [0, 0]) }
            let kind = random.below(2)
            let size = UInt64(512 * (1 + random.below(64)))
            bytes[kind] += size
            operations[kind] += 1
            guard number % 400 == 0 || random.below(3) > 0 else { continue }
            var event = BatchEncoder.IO()
            event.timestamp = ProcessorBench.timestamp(number / 4)
            (event.pid, event.comm) = (7, "disk")
            (event.operation, event.bytes) = (["READ", "WRITE"][kind], size)
            event.readBytes = bytes[0] > lastSent[0] ? bytes[0] - lastSent[0] : 0
            event.writeBytes = bytes[1] > lastSent[1] ? bytes[1] - lastSent[1] : 0
            (event.readOperations, event.writeOperations) = (operations[0], operations[1])
            for kind in 0..<2 {
                let before = number == 400 ? 0 : lastSent[kind]
                sumBytes[kind] += bytes[kind] - before
                sumOperations[kind] += operations[kind] - counted[kind]
            }
            (lastSent, counted) = (bytes, operations)
            try bench.send(semantics: .neutracer) { $0.append(event) }
        }
        let samples = bench.samples()
        for (kind, name) in ["read", "write"].enumerated() {
            #expect(samples.value(.ioBytesTotal, name) == Double(sumBytes[kind]))
            #expect(samples.value(.ioOperationsTotal, name) == Double(sumOperations[kind]))
        }
        #expect(samples.value(.valuesInvalidTotal, "io", "read_bytes") == nil)
    }

    @Test(arguments: seeds) func allocatedBytesAreTheAgents(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let bench = try ProcessorBench(.memory)
        var (untold, sums) = ([0, 0] as [UInt64], [0, 0] as [UInt64])
        var (current, peak, used) = (0 as UInt64, 0 as UInt64, 0 as UInt64)
        for number in 0..<800 {
            // What is in use goes on, though the agent's view of it begins anew.
            if number == 400 { (untold, current, peak) = ([0, 0], 0, 0) }
            let isFree = random.below(3) == 0 && current > 4_096
            let size = UInt64(16 + random.below(4_000))
            untold[isFree ? 1 : 0] += size
            current = isFree ? current - size : current + size
            used = isFree ? used - size : used + size
            peak = max(peak, current)
            guard number % 399 == 0 || random.below(2) == 0 else { continue }
            var event = BatchEncoder.Memory()
            event.timestamp = ProcessorBench.timestamp(number / 5)
            (event.tgid, event.pid, event.comm) = (7, 7 + UInt32(random.below(3)), "heap")
            (event.operation, event.size) = (isFree ? "free" : "alloc", size)
            (event.totalAllocs, event.totalFrees) = (untold[0], untold[1])
            (event.currentMemory, event.peakMemory) = (current, peak)
            for kind in 0..<2 { sums[kind] += untold[kind] }
            untold = [0, 0]
            try bench.send(semantics: .neutracer) { $0.append(event) }
            guard number != 399 else { continue }
            // Up to the beginning anew nothing was lost.
            let samples = bench.samples()
            guard number < 400 else { continue }
            #expect(samples.value(.memoryUsageBytes) == Double(used))
        }
        let samples = bench.samples()
        #expect(samples.value(.memoryAllocatedBytesTotal) == Double(sums[0]))
        #expect(samples.value(.memoryFreedBytesTotal) == Double(sums[1]))
        #expect(samples.value(.memoryAllocationsTotal) == nil, "operations are not known")
    }

    @Test(arguments: seeds) func migrationsAreTheAgents(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let bench = try ProcessorBench(.cpu)
        var (counts, sums, lastSent) = (
            [0, 0] as [UInt32], [0, 0] as [UInt32], [0, 0] as [UInt32]
        )
        for number in 0..<600 {
            if number == 300 { (counts, lastSent) = ([0, 0], [0, 0]) }
            counts[0] += UInt32(random.below(3))
            counts[1] += UInt32(random.below(2))
            guard number % 300 == 0 || random.below(2) == 0 else { continue }
            var event = BatchEncoder.CPU()
            event.timestamp = ProcessorBench.timestamp(number * 10)
            (event.pid, event.comm, event.utilizationPercent) = (7, "cpu", 50)
            (event.migrations, event.numaMigrations) = (counts[0], counts[1])
            // Sums of sums, of which nothing is made.
            event.onCPUMicroseconds = UInt64(number * number * 1_000)
            for kind in 0..<2 { sums[kind] += counts[kind] - lastSent[kind] }
            lastSent = counts
            try bench.send(semantics: .neutracer) { $0.append(event) }
        }
        let samples = bench.samples()
        #expect(samples.value(.cpuMigrationsTotal) == Double(sums[0]))
        #expect(samples.value(.cpuNumaMigrationsTotal) == Double(sums[1]))
        let seconds = try #require(samples.value(.cpuTimeSecondsTotal, "on"))
        #expect((2.9...3.0).contains(seconds), "half of six seconds")
    }

    @Test(arguments: seeds) func callsAndLaunchesAreTheAgents(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let (functions, gpu) = (try ProcessorBench(.function), try ProcessorBench(.gpu))
        var (calls, launches) = ([0, 0] as [UInt64], [0, 0] as [UInt64])
        var sent = calls
        for number in 0..<600 {
            let kind = random.below(2)
            let isEntry = random.below(2) == 0 || calls[kind] == 0
            if isEntry { calls[kind] += 1 }
            launches[kind] += 1
            let stamp = ProcessorBench.timestamp(number / 4)
            try gpu.send(semantics: .neutracer) {
                var event = BatchEncoder.GPU()
                event.timestamp = stamp
                event.payload = .launch(pid: 7, kernelName: "k\(kind)", calls: launches[kind])
                $0.append(event)
            }
            guard random.below(3) == 0 else { continue }
            sent[kind] = calls[kind]
            try functions.send(semantics: .neutracer) {
                var event = BatchEncoder.Function()
                event.timestamp = stamp
                (event.eventType, event.functionName) = (isEntry ? 0 : 1, "f\(kind)")
                (event.cookie, event.callCount) = (Int64(kind), calls[kind])
                (event.tgid, event.pid) = (7, 7 + UInt32(random.below(3)))
                $0.append(event)
            }
        }
        for kind in 0..<2 {
            let called = functions.samples().value(.functionCallsTotal, "f\(kind)")
            #expect(called == Double(sent[kind]))
            let launched = gpu.samples().value(.gpuKernelLaunchesTotal, "k\(kind)")
            #expect(launched == Double(launches[kind]))
        }
    }

    @Test func wrappedValuesAreLeftOutAndCounted() throws {
        let wrapped = UInt64.max - 99
        let memory = try ProcessorBench(.memory)
        try memory.send(semantics: .neutracer) {
            for place in 0..<4 {
                var event = BatchEncoder.Memory()
                event.timestamp = ProcessorBench.timestamp(place)
                (event.tgid, event.pid, event.comm) = (7, 7, "heap")
                (event.operation, event.size) = ("alloc", 10)
                event.totalAllocs = place == 1 ? wrapped : 10
                event.totalFrees = place == 2 ? wrapped : 0
                event.currentMemory = place == 3 ? wrapped : UInt64(10 * (place + 1))
                event.peakMemory = 40
                $0.append(event)
            }
        }
        var samples = memory.samples()
        #expect(samples.value(.memoryAllocatedBytesTotal) == 30)
        #expect(samples.value(.memoryUsageBytes) == 30, "as last known")
        for field in ["total_allocs", "total_frees", "current_memory"] {
            #expect(samples.value(.valuesInvalidTotal, "memory", field) == 1, "\(field)")
        }
        let io = try ProcessorBench(.io)
        try io.send(semantics: .neutracer) {
            for place in 0..<3 {
                var event = BatchEncoder.IO()
                event.timestamp = ProcessorBench.timestamp(place)
                (event.pid, event.comm, event.operation, event.bytes) = (7, "disk", "READ", 512)
                event.readOperations = UInt64(place + 1)
                event.readBytes = place == 1 ? wrapped : 512
                event.writeBytes = place == 2 ? 1 << 63 : 0
                $0.append(event)
            }
        }
        samples = io.samples()
        #expect(samples.value(.ioBytesTotal, "read") == 1_024)
        #expect(samples.value(.ioOperationsTotal, "read") == 3)
        for field in ["read_bytes", "write_bytes"] {
            #expect(samples.value(.valuesInvalidTotal, "io", field) == 1, "\(field)")
        }
    }

    // MARK: Both dialects

    /// A run of which sampling skips nothing: both dialects give the same counters and findings.
    @Test(arguments: Resource.allCases) func bothDialectsGiveTheSame(resource: Resource) throws {
        var counters: [[Samples.Key: Double]] = []
        var findings: [[RuleBench.Finding]] = []
        for dialect in [Semantics.neutracer, .cumulative] {
            let options = EmulatedRun.Options(seed: 5, dialect: dialect, scenario: .complete)
            let bench = try ProcessorBench(resource)
            let arrival = (options.start + 60) * 1_000_000_000
            for batch in EmulatedRun(options).batches {
                try bench.send(batch, arrival: arrival, semantics: dialect)
            }
            counters.append(bench.samples().counters)
            findings.append(try RuleBench.findings(of: bench))
        }
        #expect(findings[0] == findings[1])
        #expect(findings[0].isEmpty == (resource != .function && resource != .io))
        // How many operations there were only one of them knows, and only one has differences that wrap.
        let ofOne: Set<MetricFamily> = [
            .memoryAllocationsTotal, .memoryFreesTotal, .valuesInvalidTotal,
        ]
        for key in Set(counters[0].keys).union(counters[1].keys)
        where !ofOne.contains(key.family) && !"\(key.family)".hasPrefix("neutracer") {
            guard let one = counters[0][key], let other = counters[1][key] else {
                Issue.record("only one dialect has \(key)")
                continue
            }
            let isTime = key.family == .cpuTimeSecondsTotal
            #expect(abs(one - other) <= (isTime ? other * 0.1 : 0), "\(key): \(one), \(other)")
        }
    }

    @Test(arguments: [Semantics.neutracer, .cumulative]) func bothDirectionsAreOneConnection(
        semantics: Semantics
    ) throws {
        let bench = try ProcessorBench(.network)
        try bench.send(semantics: semantics) {
            for place in 0..<6 {
                var event = BatchEncoder.Network()
                event.timestamp = ProcessorBench.timestamp(place)
                (event.tgid, event.pid, event.comm) = (7, 7, "web")
                (event.isSend, event.bytes) = (place % 2 == 0, 100)
                // Only NEUTRACER names the sender first.
                let isForward = event.isSend || semantics == .cumulative
                (event.sourceAddress, event.sourcePort) = isForward ? ("me", 40_000) : ("you", 443)
                (event.destinationAddress, event.destinationPort) =
                    isForward ? ("you", 443) : ("me", 40_000)
                event.transport = "TCP"
                event.activeConnections = semantics == .cumulative ? 1 : 2
                $0.append(event)
            }
        }
        #expect(bench.samples().value(.networkActiveConnections) == 1)
        _ = try bench.output()
        let tables = try #require(try bench.summary()?["tables"] as? [String: [String: Any]])
        #expect(tables["connections"]?["rows"] as? Int == 1)
    }

    /// What is open inside a call ends with it; where it is a slice already, an end without an event closes it.
    @Test(arguments: [Semantics.neutracer, .cumulative]) func anExitClosesWhatIsOpenInside(
        semantics: Semantics
    ) throws {
        let bench = try ProcessorBench(.function)
        let calls: [(type: Int32, name: String)] = [
            (0, "outer"), (0, "middle"), (0, "inner"), (1, "outer"), (1, "inner"),
        ]
        try bench.send(semantics: semantics) {
            for (place, call) in calls.enumerated() {
                var event = BatchEncoder.Function()
                event.timestamp = ProcessorBench.timestamp(place * 10)
                (event.eventType, event.functionName) = (call.type, call.name)
                (event.cookie, event.callCount, event.tgid, event.pid) = (3, 1, 7, 7)
                $0.append(event)
            }
        }
        let events = try bench.output().events.filter { $0["ph"] as? String != "M" }
        let shown = events.map { event in
            let category = event["cat"] == nil ? "!" : ""
            return "\(event["ph"] ?? "")\(category) \(event["name"] ?? "")"
        }
        if semantics == .cumulative {
            let expected = [
                "B outer", "B middle", "B inner", "E! inner", "E! middle", "E outer", "i inner",
            ]
            #expect(shown == expected)
        } else {
            #expect(shown == ["B outer", "i middle", "i inner", "E outer", "i inner"])
        }
        #expect(bench.samples().value(.functionUnmatchedExitsTotal, "inner") == 1)
    }

    // MARK: Time

    /// One stamp far ahead changes nothing but its own row.
    @Test(arguments: Resource.allCases, [Semantics.neutracer, .cumulative])
    func oneStampFarAheadSpoilsNothing(
        resource: Resource,
        semantics: Semantics
    ) throws {
        func outcome(
            stampAhead: Bool
        ) throws -> ([Samples.Key: Double], [RuleBench.Finding], Double) {
            let bench = try ProcessorBench(resource)
            for place in 0..<100 {
                var batch = BatchEncoder()
                // An exit, and in the middle of all.
                let isAhead = stampAhead && place == 51
                let milliseconds = isAhead ? 2_300_000_000_000 : place * 20
                batch.appendPlain(resource, place, semantics, milliseconds: milliseconds)
                let arrival = ProcessorBench.start + Int64(place * 20 + 1) * 1_000_000
                try bench.send(Array(batch.bytes), arrival: arrival, semantics: semantics)
                try bench.processor.tick(arrival: arrival)
            }
            let counters = bench.samples().counters
            let findings = try RuleBench.findings(of: bench)
            let tables = try #require(try bench.summary()?["tables"] as? [String: [String: Any]])
            let lists = try #require(tables["processes"]?["top"] as? [String: [[String: Any]]])
            let total = lists["busiest"]?.first?["total_ms"] as? Double
            return (counters, findings, total ?? 0)
        }
        let (plain, ahead) = (try outcome(stampAhead: false), try outcome(stampAhead: true))
        #expect(plain.1.isEmpty && ahead.1.isEmpty, "\(ahead.1)")
        #expect(ahead.2 <= 2_000, "a run of two seconds")
        // The call whose exit it was is no call.
        let ofPairs: Set<MetricFamily> = [
            .functionUnmatchedExitsTotal, .functionSlowCallsTotal, .functionDurationSeconds,
        ]
        for (key, value) in plain.0 where !ofPairs.contains(key.family) {
            #expect(abs((ahead.0[key] ?? -1) - value) <= value * 0.05, "\(key)")
        }
    }

    /// How long a thread has had a call open goes by the clock, not by what a stamp far ahead says.
    @Test func aStampFarAheadAddsNoOpenTime() {
        var calls = OpenCalls()
        var tree = CallTree()
        var totals = SlotTotals()
        let call = OpenCalls.Call(cookie: 1, function: 0, began: 10)
        let isSlice = calls.push(call, tid: 7, clock: 10, used: 0, &tree, &totals)
        let none = calls.pop(
            cookie: 2,
            function: 0,
            tid: 7,
            at: 4_000_000,
            clock: 20,
            used: 0,
            &tree
        ) { _ in }
        #expect(isSlice && none == nil)
        let openUntilNow = tree.takeCovered()
        let ended = calls.pop(
            cookie: 1,
            function: 0,
            tid: 7,
            at: 40,
            clock: 40,
            used: 0,
            &tree
        ) { _ in }
        let openSince = tree.takeCovered()
        #expect(openUntilNow == 10 && openSince == 20 && ended?.nanoseconds == 30)
    }

    // MARK: State of 0.1.0

    @Test func countersOfTheVersionBeforeComeBack() throws {
        func counter(_ total: UInt64, in buffer: inout RawBuffer) {
            // The last sample, and what ours has grown to.
            buffer.append(integer: total)
            buffer.append(integer: total)
        }
        var old = RawBuffer()
        counter(7, in: &old)
        counter(3, in: &old)
        var reader = StateReader(old.bytes)
        reader.version = StateVersion.beforeDialects
        let memory = try MemoryNormaliser(decoding: &reader)
        #expect(reader.isAtEnd && memory.countsOperations && !memory.hasGaps)
        #expect(memory.agentAllocations == 7 && memory.agentFrees == 3)

        old = RawBuffer()
        for total in [9, 8, 7, 6] as [UInt64] { counter(total, in: &old) }
        reader = StateReader(old.bytes)
        reader.version = StateVersion.beforeDialects
        let cpu = try CPUNormaliser(decoding: &reader)
        #expect(reader.isAtEnd && cpu.onTime.total == 9 && cpu.numaMigrations.total == 6)
    }

    @Test func openCallsOfTheVersionBeforeComeBack() throws {
        var old = RawBuffer()
        old.append(integer: UInt32(1))
        // A thread with one call given up and two open.
        old.append(integer: UInt32(77))
        old.append(integer: UInt32(1))
        old.append(integer: UInt32(2))
        for place in 0..<2 {
            old.append(integer: Int64(place))
            old.append(integer: UInt32(place))
            old.append(integer: Int64(100 * (place + 1)))
            old.append(byte: 0)
            old.append(byte: 0)
        }
        var reader = StateReader(old.bytes)
        reader.version = StateVersion.beforeDialects
        var tree = CallTree()
        var calls = try OpenCalls(decoding: &reader, &tree)
        #expect(reader.isAtEnd && calls.openCount == 2)
        let ended = calls.pop(
            cookie: 1,
            function: 1,
            tid: 77,
            at: 500,
            clock: 500,
            used: 0,
            &tree
        ) { _ in }
        #expect(ended?.nanoseconds == 300 && calls.openCount == 1)
        // The calls have paths, and the inner one its time since it began.
        let (count, inner) = (tree.nodes.count, tree.nodes[2])
        #expect(count == 3 && inner.parent == 1)
        #expect(inner.selfNanoseconds == 300 && inner.calls == 0)
    }
}

extension Samples {
    /// Values of counters, and how much histograms hold.
    fileprivate var counters: [Key: Double] {
        series.compactMapValues { value in
            switch value {
            case .counter(let value): value
            case .gauge: nil
            case .histogram(let buckets, _): Double(buckets.reduce(0, &+))
            }
        }
    }
}

// MARK: - Events

extension BatchEncoder {
    /// One of a steady run in which nothing is unusual; both dialects say the same with it.
    fileprivate mutating func appendPlain(
        _ resource: Resource,
        _ place: Int,
        _ semantics: Semantics,
        milliseconds: Int
    ) {
        let stamp = ProcessorBench.timestamp(milliseconds)
        let isSampled = semantics == .neutracer
        let number = UInt64(place + 1)
        switch resource {
        case .function:
            var event = Function()
            (event.timestamp, event.eventType, event.functionName) = (stamp, Int32(place % 2), "f")
            (event.callCount, event.cookie) = (number / 2 + number % 2, 3)
            (event.tgid, event.pid) = (7, 7)
            append(event)
        case .cpu:
            var event = CPU()
            (event.timestamp, event.pid, event.comm) = (stamp, 7, "cpu")
            event.utilizationPercent = 20
            (event.onCPUMicroseconds, event.offCPUMicroseconds) = (number * 4_000, number * 16_000)
            append(event)
        case .memory:
            var event = Memory()
            (event.timestamp, event.tgid, event.pid, event.comm) = (stamp, 7, 7, "heap")
            (event.operation, event.size) = (place % 2 == 0 ? "alloc" : "free", 64)
            event.address = 4_096 + number / 2 + number % 2
            if isSampled {
                (event.totalAllocs, event.totalFrees) = place % 2 == 0 ? (64, 0) : (0, 64)
            } else {
                (event.totalAllocs, event.totalFrees) = (number / 2 + number % 2, number / 2)
            }
            event.currentMemory = place % 2 == 0 ? 64 : 0
            event.peakMemory = 64
            append(event)
        case .network:
            var event = Network()
            (event.timestamp, event.tgid, event.pid, event.comm) = (stamp, 7, 7, "web")
            (event.isSend, event.bytes, event.transport) = (true, 100, "TCP")
            (event.sourceAddress, event.sourcePort) = ("me", 40_000)
            (event.destinationAddress, event.destinationPort) = ("you", 443)
            (event.txBytes, event.txPackets) = (isSampled ? 100 : 100 * number, number)
            append(event)
        case .io:
            var event = IO()
            (event.timestamp, event.pid, event.comm, event.operation) = (stamp, 7, "disk", "READ")
            (event.bytes, event.latencyMilliseconds, event.device) = (512, 1, "sda")
            (event.readBytes, event.readOperations) = (isSampled ? 512 : 512 * number, number)
            append(event)
        case .gpu:
            var event = GPU()
            event.timestamp = stamp
            event.payload = .launch(pid: 7, kernelName: "k", calls: isSampled ? number : 1)
            append(event)
        }
    }

    /// One with any values: of two processes, each with one name.
    fileprivate mutating func appendAnything(
        of resource: Resource,
        round: Int,
        _ random: inout EventRandom
    ) {
        func number() -> UInt64 {
            random.pick([
                0, 1, 2, random.below(100), random.below(5_000), random.below(1 << 40), 1 << 62,
                1 << 63, (1 << 63) - 1,
                .max, .max - random.below(9_000), random.next(),
            ])
        }
        func small() -> UInt32 { UInt32(truncatingIfNeeded: number()) }
        func real() -> Double {
            random.pick([
                0, 1, 0.5, Double(random.below(20_000)) / 100, .nan, .infinity, -.infinity, -1,
                .greatestFiniteMagnitude, .leastNonzeroMagnitude, -0.0,
            ])
        }
        let pid = UInt32(1 + random.below(2))
        let tid = pid + UInt32(random.below(3))
        let usual = round * 1_000 + Int(random.below(1_000))
        let milliseconds: Int =
            switch random.below(20) {
            case 0: usual - Int(random.below(9_000_000))
            case 1: usual + Int(random.below(80_000_000))
            case 2: 2_300_000_000_000
            default: usual
            }
        let stamp = random.isOne(in: 40) ? "no time" : ProcessorBench.timestamp(milliseconds)
        switch resource {
        case .function:
            var event = Function()
            (event.timestamp, event.tgid, event.pid) = (stamp, pid, tid)
            event.eventType = random.pick([0, 0, 0, 1, 1, 1, -1, 7])
            event.cookie = random.pick([0, 1, .min, .max])
            event.functionName = random.pick(["f", "g", "", "h\n"])
            event.callCount = random.pick([number(), random.below(4), 5])
            event.averageDurationMicroseconds = number()
            append(event)
        case .cpu:
            var event = CPU()
            (event.timestamp, event.pid, event.comm) = (stamp, pid, "p\(pid)")
            (event.ppid, event.cpuID, event.hotspotCPU) = (small(), small(), small())
            (event.onCPUMicroseconds, event.offCPUMicroseconds) = (number(), number())
            (event.utilizationPercent, event.hotspotPercent) = (real(), real())
            (event.migrations, event.numaMigrations) = (small(), small())
            append(event)
        case .memory:
            var event = Memory()
            (event.timestamp, event.tgid, event.pid, event.comm) = (stamp, pid, tid, "p\(pid)")
            event.operation = random.pick(["alloc", "free", "alloc", "free", "", "other"])
            (event.size, event.address, event.stackID) = (number(), number(), number())
            (event.totalAllocs, event.totalFrees) = (number(), number())
            (event.currentMemory, event.peakMemory) = (number(), number())
            event.pattern = Int32(bitPattern: small())
            (event.largeAllocs, event.fragmentationScore) = (small(), small())
            (event.churnScore, event.leakSuspected) = (small(), random.isOne(in: 2))
            append(event)
        case .network:
            var event = Network()
            (event.timestamp, event.tgid, event.pid, event.comm) = (stamp, pid, tid, "p\(pid)")
            (event.isSend, event.bytes) = (random.isOne(in: 2), number())
            event.sourceAddress = random.pick(["a", "b", "", "::1"])
            event.destinationAddress = random.pick(["a", "b", "", "::1"])
            (event.sourcePort, event.destinationPort) = (small(), small())
            event.transport = random.pick(["TCP", "UDP", "", "x"])
            (event.txBytes, event.rxBytes) = (number(), number())
            (event.txPackets, event.rxPackets) = (number(), number())
            event.pattern = Int32(bitPattern: small())
            (event.retransmits, event.errors) = (small(), small())
            (event.activeConnections, event.isBursty) = (small(), random.isOne(in: 2))
            append(event)
        case .io:
            var event = IO()
            (event.timestamp, event.pid, event.comm) = (stamp, pid, "p\(pid)")
            event.operation = random.pick(["READ", "WRITE", "read", "", "SYNC"])
            (event.bytes, event.latencyMilliseconds) = (number(), real())
            (event.device, event.major, event.minor) = (random.pick(["sda", ""]), small(), small())
            (event.readBytes, event.writeBytes) = (number(), number())
            (event.readOperations, event.writeOperations) = (number(), number())
            event.averageReadLatencyMilliseconds = real()
            event.averageWriteLatencyMilliseconds = real()
            append(event)
        case .gpu:
            var event = GPU()
            event.timestamp = stamp
            event.payload = random.pick([
                .none, .callStack(pid: pid, frames: ["a", "b|\n"]),
                .memory(pid: pid, bytes: number()),
                .launch(pid: pid, kernelName: "k", calls: number()),
                .transfer(pid: pid, bytesPerSecond: number(), kind: "H2D"),
            ])
            append(event)
        }
    }
}
