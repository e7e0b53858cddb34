import AnomalyRules
import Foundation
import SystemIO
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// Findings that fall into a cool-down come out as one record when it ends.
@Suite(.serialized) struct SuppressionTests {
    private static let second: Int64 = 1_000_000_000
    private static let day = 86_400
    private static let arrival = ProcessorBench.start + 7_200 * second

    /// Events of which a rule raises the first one that it finds, and suppresses some more.
    private struct Case: CustomStringConvertible, Sendable {
        let rule: RuleID
        var resource: Resource { rule.resource ?? .function }
        /// Of the rule.
        var cooldownSeconds = 60
        /// Ticks that find something themselves: seconds after the start.
        var ticks: [Int] = []
        let fill: @Sendable (inout BatchEncoder) -> Void
        /// What the record says.
        let message: String

        var description: String { "\(rule.name)" }
    }

    private static let cases: [Case] =
        functionCases + cpuCases + memoryCases + networkCases + ioCases + gpuCases

    private static let functionCases = [
        Case(
            rule: .slowCall,
            fill: {
                for (second, milliseconds) in [101.0, 340, 120].enumerated() {
                    $0.call("f", at: Double(second), milliseconds: milliseconds)
                }
            },
            message: "2 more in 60 s, the worst: f took 340.0 ms"
        ),
        Case(
            rule: .durationOutlier,
            fill: {
                for index in 0..<40 {
                    $0.call("f", at: Double(index), milliseconds: 4 + Double(index % 3))
                }
                for (index, milliseconds) in [60.0, 70, 65].enumerated() {
                    $0.call("f", at: 40 + Double(index), milliseconds: milliseconds)
                }
            },
            message: "2 more in 60 s, the worst: f took 70.0 ms, usually about "
        ),
        Case(
            rule: .stuckCall,
            ticks: [31],
            fill: {
                for thread in [7, 8] as [UInt32] {
                    var event = BatchEncoder.Function()
                    event.timestamp = RuleBench.time(0)
                    (event.tgid, event.pid) = (7, thread)
                    event.functionName = "f"
                    $0.append(event)
                }
            },
            message: "1 more in 60 s, the worst: f has been open for "
        ),
    ]

    private static let cpuCases = [
        Case(
            rule: .highUtilization,
            cooldownSeconds: day,
            fill: {
                for step in 0...360 {
                    let isQuiet = step > 120 && step < 210
                    $0.cpu(at: Double(step) * 10, percent: isQuiet ? 60 : 95)
                }
            },
            message: "1 more in 86400 s, the worst: "
        ),
        Case(
            rule: .migrationStorm,
            fill: {
                var count = 0.0
                for step in 0..<30 {
                    count += step / 3 % 2 == 0 ? 1_100 + Double(step) : 0
                    $0.cpu(at: Double(step), migrations: count)
                }
            },
            message: "4 more in 60 s, the worst: 1124.0 migrations a second"
        ),
        Case(
            rule: .numaMigration,
            fill: {
                var count = 0.0
                for step in 0..<30 {
                    count += step / 3 % 2 == 0 ? 11 + Double(step) : 0
                    $0.cpu(at: Double(step), numa: count)
                }
            },
            message: "4 more in 60 s, the worst: 35.0 migrations between NUMA nodes a second"
        ),
        Case(
            rule: .cpuHotspot,
            fill: {
                for step in 0..<40 {
                    let percent = step % 10 < 5 ? 95 + Double(step) / 10 : 10
                    $0.cpu(at: Double(step), hotspot: percent, cpu: UInt32(step) % 4)
                }
            },
            message: "3 more in 60 s, the worst: 98.0 % of the time on CPU 0, of 4 seen"
        ),
    ]

    private static let memoryCases = [
        Case(
            rule: .leak,
            cooldownSeconds: day,
            fill: {
                for step in 0..<300 {
                    let grown = step < 100 ? step : step < 200 ? 100 : step - 100
                    $0.memory(at: Double(step) * 10, "", current: 1e9 + Double(grown) * 1e6)
                }
            },
            message: "1 more in 86400 s, the worst: "
        ),
        Case(
            rule: .largeAllocation,
            fill: {
                for (index, mebibytes) in [64, 200, 70].enumerated() {
                    let address = UInt64(index + 1)
                    let size = UInt64(mebibytes) << 20
                    $0.memory(at: Double(index), "alloc", address: address, size: size)
                }
            },
            message: "2 more in 60 s, the worst: 209715200 bytes allocated at once"
        ),
        Case(
            rule: .unmatchedFree,
            fill: {
                $0.memory(at: 0, "alloc", address: 1, size: 8)
                for address in [0x20, 0x21, 0x22] as [UInt64] {
                    $0.memory(at: Double(address), "free", address: address)
                }
            },
            message: "2 more in 60 s, the worst: 0x21 was released, its allocation was not seen"
        ),
        Case(
            rule: .doubleFree,
            fill: {
                $0.memory(at: 0, "alloc", address: 1, size: 8)
                for second in 1...4 { $0.memory(at: Double(second), "free", address: 1) }
            },
            message: "2 more in 60 s, the worst: 0x1 was released twice"
        ),
        Case(
            rule: .churn,
            fill: {
                var count = 0.0
                for step in 0..<30 {
                    count += step / 3 % 2 == 0 ? 110_000 + Double(step) * 2 : 0
                    $0.memory(at: Double(step), "", operations: count)
                }
            },
            message: "4 more in 60 s, the worst: 110048.0 allocations and releases a second"
        ),
        Case(
            rule: .fragmentation,
            fill: {
                for (second, score) in [70, 59, 90, 59, 75, 80].enumerated() {
                    $0.memory(at: Double(second), "", score: UInt32(score))
                }
            },
            message: "2 more in 60 s, the worst: fragmentation score 90.0"
        ),
    ]

    private static let networkCases = [
        Case(
            rule: .rateSpike,
            fill: {
                var bytes = 1.0
                $0.network(at: 0, bytes: bytes)
                for step in 1...70 {
                    let spike = [61: 2e7, 64: 9e7, 67: 3e7][step]
                    bytes += spike ?? (step % 2 == 0 ? 0.9e6 : 1.1e6)
                    $0.network(at: Double(step), bytes: bytes)
                }
            },
            message: "2 more in 60 s, the worst: 90000000.0 bytes a second, usually "
        ),
        Case(
            rule: .retransmits,
            fill: {
                var retransmits = 0.0
                for (step, percent) in [6.0, 0, 9, 0, 7].enumerated() {
                    retransmits += percent * 10
                    $0.network(
                        at: Double(step),
                        packets: Double(step + 1) * 1_000,
                        retransmits: retransmits
                    )
                }
            },
            message: "2 more in 60 s, the worst: 9.0 % of the packets sent were retransmits"
        ),
        Case(
            rule: .errors,
            fill: {
                for (second, errors) in [1, 2, 7].enumerated() {
                    $0.network(at: Double(second), errors: UInt32(errors))
                }
            },
            message: "2 more in 60 s, the worst: 5 more errors, 7 in all"
        ),
        Case(
            rule: .connectionChurn,
            fill: {
                for index in 0..<60 {
                    $0.network(at: Double(index) / 100, from: UInt32(40_000 + index))
                }
            },
            message: "9 more in 60 s, the worst: 60 new connections in a second, 0.0 a second in"
        ),
        Case(
            rule: .hostScan,
            fill: {
                for index in 0..<40 {
                    $0.network(at: Double(index), from: 45_000, to: ("192.0.2.\(index)", 22))
                }
            },
            message: "15 more in 60 s, the worst: 40 hosts on port 22"
        ),
        Case(
            rule: .portScan,
            fill: {
                for index in 0..<40 {
                    let port = UInt32(index + 1)
                    $0.network(at: Double(index), from: 45_000, to: ("192.0.2.1", port))
                }
            },
            message: "20 more in 60 s, the worst: 40 ports of 192.0.2.1"
        ),
    ]

    private static let ioCases = [
        Case(
            rule: .slowIO,
            fill: {
                for (second, milliseconds) in [101.0, 400, 150].enumerated() {
                    $0.io(at: Double(second), milliseconds: milliseconds)
                }
            },
            message: "2 more in 60 s, the worst: READ took 400.0 ms"
        ),
        Case(
            rule: .latencyOutlier,
            fill: {
                for index in 0..<40 {
                    $0.io(at: Double(index), milliseconds: 1 + Double(index % 4) / 10)
                }
                for (index, milliseconds) in [20.0, 30, 25].enumerated() {
                    $0.io(at: 40 + Double(index), milliseconds: milliseconds)
                }
            },
            message: "2 more in 60 s, the worst: READ took 30.0 ms, usually about "
        ),
        Case(
            rule: .throughputSpike,
            fill: {
                var bytes = 0.0
                for step in 0..<70 {
                    bytes += [61: 5e7, 64: 9e7, 67: 6e7][step] ?? 1e6
                    $0.io(at: Double(step), bytes: bytes)
                }
            },
            message: "2 more in 60 s, the worst: 90000000.0 bytes a second, usually "
        ),
    ]

    private static let gpuCases = [
        Case(
            rule: .memoryGrowth,
            cooldownSeconds: day,
            fill: {
                for step in 0..<300 {
                    let grown = step < 100 ? step : step < 200 ? 100 : step - 100
                    let bytes = UInt64(1_000_000_000 + grown * 10_000_000)
                    $0.gpu(at: Double(step) * 10, .memory(pid: 7, bytes: bytes))
                }
            },
            message: "1 more in 86400 s, the worst: "
        ),
        Case(
            rule: .transferDrop,
            fill: {
                for step in 0..<60 {
                    let dropped = [40: 200_000, 44: 100_000, 48: 200_000][step]
                    let rate = UInt64(dropped ?? 1_000_000 + step % 5 * 10_000)
                    $0.gpu(at: Double(step), .transfer(pid: 7, bytesPerSecond: rate, kind: "D2H"))
                }
            },
            message: "2 more in 60 s, the worst: D2H: 100000.0 bytes a second, usually "
        ),
    ]

    private static func rules(_ rule: RuleID, cooldownSeconds: Int) throws -> RuleSet {
        let resource = rule.resource?.name ?? ""
        let text =
            #"{"rules": {"\#(resource)": {"\#(rule.name)": {"cooldown_s": \#(cooldownSeconds)}}}}"#
        return try RuleSet(Array(text.utf8), file: "rules.json")
    }

    /// Batches come after all that is in them has happened.
    private static func send(_ bench: ProcessorBench, _ fill: (inout BatchEncoder) -> Void) throws {
        try bench.send(arrival: arrival, fill)
    }

    /// The clock of the log, so many seconds after the batches.
    private static func tick(_ bench: ProcessorBench, at seconds: Double) throws {
        try bench.processor.tick(arrival: arrival + Int64((seconds * 1e9).rounded()))
    }

    private static func messages(_ rule: String, _ output: ProcessorBench.Output) -> [String] {
        output.findings(rule).map { $0["message"] as? String ?? "" }
    }

    @Test func everyRuleHasACase() {
        #expect(Set(Self.cases.map(\.rule)) == Set(RuleID.allCases).subtracting([.agent]))
    }

    // MARK: One record

    @Test(arguments: cases) private func whatACooldownSuppressesIsOneRecord(_ test: Case) throws {
        let bench = try ProcessorBench(test.resource)
        bench.processor.rules = try Self.rules(test.rule, cooldownSeconds: test.cooldownSeconds)
        try Self.send(bench, test.fill)
        for seconds in test.ticks { try Self.tick(bench, at: Double(seconds)) }
        let counted = { bench.samples().value(.anomaliesTotal, test.resource.name, "\(test)") }
        #expect(counted() == 1)
        for _ in 0..<2 {
            try Self.tick(bench, at: Double(test.cooldownSeconds + 100))
            #expect(counted() == 2, "the record is one finding, once")
        }
        let output = try bench.output()
        let findings = output.findings("\(test)")
        #expect(findings.count == 2)
        let record = try #require(findings.last)
        let message = record["message"] as? String ?? ""
        #expect(message.hasPrefix(test.message), "\(message)")
        #expect(findings[0]["process"] as? String == record["process"] as? String)
        let shown = output.events.filter { $0["name"] as? String == "\(test)" }
        #expect(shown.count == 2)
        let arguments = try #require(shown.last?["args"] as? [String: Any])
        for key in ["value", "baseline", "score", "severity"] {
            #expect(arguments[key] as? Double == record[key] as? Double, "\(key)")
        }
    }

    @Test func aTickBringsTheRecordWhenTheCooldownIsOver() throws {
        let bench = try ProcessorBench(.function)
        try Self.send(bench) {
            $0.call("f", at: 0, milliseconds: 101)
            $0.call("f", at: 10, milliseconds: 500)
        }
        let counted = { bench.samples().value(.anomaliesTotal, "function", "slow_call") }
        // Raised at 0.101 s; at the first tick the process's clock shows 60.1 s.
        try Self.tick(bench, at: 49.6)
        #expect(counted() == 1)
        try Self.tick(bench, at: 49.7)
        #expect(counted() == 2)
        for seconds in 50..<200 { try Self.tick(bench, at: Double(seconds)) }
        #expect(counted() == 2, "it begins no cool-down, and is raised once")
        let found = try bench.output().findings("slow_call")
        #expect(found.map { $0["value"] as? Double } == [101, 500])
        let times = found.map { Int64($0["ts"] as? Double ?? 0) - ProcessorBench.start / 1_000 }
        #expect(times == [101_000, 60_200_000])
    }

    @Test func aFindingAfterTheCooldownComesBehindTheRecord() throws {
        let bench = try ProcessorBench(.function)
        try Self.send(bench) {
            for seconds in [0.0, 10, 20, 61, 70] { $0.call("f", at: seconds, milliseconds: 200) }
            $0.call("g", at: 1, milliseconds: 300)
        }
        #expect(
            Self.messages("slow_call", try bench.output()) == [
                "f took 200.0 ms", "g took 300.0 ms", "2 more in 60 s, the worst: f took 200.0 ms",
                "f took 200.0 ms",
            ]
        )
        try Self.tick(bench, at: 100)
        #expect(
            Self.messages("slow_call", try bench.output()) == [
                "1 more in 60 s, the worst: f took 200.0 ms"
            ]
        )
    }

    @Test func nothingIsRaisedWhereNothingWasSuppressed() throws {
        for resource in Resource.allCases {
            var generator = EventGenerator(resource, seed: 3)
            let directory = try ContractDirectory()
            let worker = try ContractWorker(resource, root: directory.path)
            let text = Self.eager(cooldownSeconds: 0)
            worker.processor.rules = try RuleSet(Array(text.utf8), file: "rules.json")
            try worker.apply(generator.batches(10))
            let before = worker.samples
            for hour in 0..<3 {
                let passed = Int64(hour) * 900 * Self.second
                try worker.processor.tick(arrival: EventGenerator.start + passed)
            }
            if resource != .function { #expect(worker.samples == before) }
            let output = try directory.merge(resource, try worker.finalize())
            let lines = output.text(suffix: ".jsonl") ?? ""
            #expect(!lines.contains(" more in ") && !lines.contains("the worst"))
        }
    }

    // MARK: What is apart

    @Test func operationsAreSuppressedApart() throws {
        let bench = try ProcessorBench(.io)
        try Self.send(bench) {
            $0.io(at: 0, milliseconds: 900, operation: "READ")
            $0.io(at: 1, milliseconds: 101, operation: "WRITE")
            $0.io(at: 2, milliseconds: 102, operation: "sync")
            $0.io(at: 3, milliseconds: 950, operation: "READ")
            $0.io(at: 4, milliseconds: 103, operation: "WRITE")
            $0.io(at: 5, milliseconds: 104, operation: "discard")
        }
        try Self.tick(bench, at: 100)
        #expect(
            Self.messages("slow_io", try bench.output()) == [
                "READ took 900.0 ms", "WRITE took 101.0 ms", "sync took 102.0 ms",
                "1 more in 60 s, the worst: READ took 950.0 ms",
                "1 more in 60 s, the worst: WRITE took 103.0 ms",
                "1 more in 60 s, the worst: discard took 104.0 ms",
            ]
        )
    }

    @Test func aWarningIsSuppressedApartFromWhatIsSevere() throws {
        let bench = try ProcessorBench(.network)
        var retransmits = 0.0
        try Self.send(bench) {
            // The warning's cool-down begins at 0 s, that of the severe one at 20 s, and the warning's again at 62 s.
            let percents = [(0, 2), (10, 0), (20, 6), (30, 0), (40, 3), (50, 0), (62, 7), (64, 0)]
            for (step, (second, percent)) in (percents + [(66, 8)]).enumerated() {
                retransmits += Double(percent) * 10
                $0.network(
                    at: Double(second),
                    packets: Double(step + 1) * 1_000,
                    retransmits: retransmits
                )
            }
        }
        try Self.tick(bench, at: 100)
        let found = try bench.output().findings("retransmits")
        #expect(found.map { $0["severity"] as? Double } == [0.4, 0.9, 0.4, 0.4, 0.9])
        let values = found.map { ($0["value"] as? Double ?? 0).rounded() }
        #expect(values == [2, 6, 3, 7, 8])
        let records = found.map { ($0["message"] as? String ?? "").contains("1 more in 60 s") }
        #expect(records == [false, false, true, false, true])
    }

    // MARK: The end of a process

    @Test func aProcessThatIsReplacedLeavesItsRecord() throws {
        let bench = try ProcessorBench(.io)
        func slow(_ comm: String, at seconds: Double, bytes: UInt64 = 0) throws {
            try Self.send(bench) {
                var event = BatchEncoder.IO()
                event.timestamp = RuleBench.time(seconds)
                event.pid = 7
                event.comm = comm
                event.operation = "READ"
                event.latencyMilliseconds = 200
                event.readBytes = bytes
                $0.append(event)
            }
        }
        try slow("first", at: 0)
        try slow("first", at: 1)
        try slow("second", at: 2, bytes: 9)
        try slow("second", at: 3, bytes: 9)
        // The same name, but what its agent counts has fallen.
        try slow("second", at: 4, bytes: 1)
        let found = try bench.output().findings("slow_io")
        #expect(
            found.map { $0["process"] as? String } == [
                "first", "first", "second", "second", "second",
            ]
        )
        let isRecord = found.map { ($0["message"] as? String ?? "").contains("1 more in 60 s") }
        #expect(isRecord == [false, true, false, true, false])
    }

    @Test func aQuietProcessIsForgottenWithItsRecordRaised() throws {
        let bench = try ProcessorBench(.io)
        bench.processor.rules = try Self.rules(.slowIO, cooldownSeconds: Self.day)
        try Self.send(bench) {
            for second in 0..<5 { $0.io(at: Double(second), milliseconds: 200) }
        }
        let counted = { bench.samples().value(.anomaliesTotal, "io", "slow_io") }
        try Self.tick(bench, at: Double(Limits.processQuietSeconds - 60))
        #expect(counted() == 1)
        #expect(bench.processor.processesGone == 0)
        try Self.tick(bench, at: Double(Limits.processQuietSeconds + 60))
        #expect(bench.processor.processesGone == 1)
        #expect(counted() == 2)
        let output = try bench.output()
        #expect(Self.messages("slow_io", output).last?.hasPrefix("4 more in 86400 s") == true)
        #expect(output.events.contains { $0["name"] as? String == "process_name" })
    }

    @Test func aRecordInANewWindowNamesItsProcess() throws {
        let bench = try ProcessorBench(.io)
        try Self.send(bench) {
            for second in 0..<2 { $0.io(at: Double(second), milliseconds: 200) }
        }
        _ = try bench.output()
        try Self.tick(bench, at: 100)
        let output = try bench.output()
        #expect(output.findings("slow_io").count == 1)
        #expect(output.events.contains { $0["name"] as? String == "process_name" })
    }

    @Test func aRuleThatIsTurnedOffRaisesNothing() throws {
        let bench = try ProcessorBench(.io)
        try Self.send(bench) {
            for second in 0..<5 { $0.io(at: Double(second), milliseconds: 200) }
        }
        let text = #"{"rules": {"io": {"slow_io": {"enabled": false}}}}"#
        bench.processor.rules = try RuleSet(Array(text.utf8), file: "rules.json")
        try Self.tick(bench, at: 100)
        #expect(bench.samples().value(.anomaliesTotal, "io", "slow_io") == 1)
    }

    // MARK: Bounds

    @Test func keysBeyondTheBoundAreCountedTogether() throws {
        let bench = try ProcessorBench(.function)
        let keys = Limits.suppressedKeysPerProcessMax
        let text = #"{"rules": {"function": {"slow_call": {"duration_ms": 10}}}}"#
        bench.processor.rules = try RuleSet(Array(text.utf8), file: "rules.json")
        let name = String(repeating: "n", count: Limits.nameBytesMax - 16)
        let fill: (inout BatchEncoder) -> Void = {
            for round in 0..<3 {
                for key in 0..<(2 * keys) {
                    let seconds = Double(round * 2 * keys + key) / 10
                    $0.call("\(name)\(key)", at: seconds, milliseconds: Double(11 + round))
                }
            }
        }
        try Self.send(bench, fill)
        let slot = bench.slot(of: 7)
        let size = bench.state(of: slot).count
        try Self.send(bench) {
            for key in 0..<(2 * keys) {
                $0.call("\(name)\(key)", at: 30 + Double(key) / 10, milliseconds: 50)
            }
        }
        let grown = bench.state(of: slot).count - size
        #expect(grown < 16 << 10, "the state grows by \(grown) bytes with what is suppressed")
        try Self.tick(bench, at: 100)
        let found = Self.messages("slow_call", try bench.output())
        let records = found.filter { $0.contains("the worst: ") }
        #expect(found.count - records.count == 2 * keys)
        #expect(records.count == keys + 1)
        #expect(records.count { $0.hasPrefix("3 more in 60 s, the worst: ") } == keys)
        #expect(records.count { $0.hasPrefix("\(3 * keys) more, the worst: ") } == 1)
        #expect(records.allSatisfy { $0.utf8.count < Limits.suppressedMessageBytesMax + 128 })
        let counted = bench.samples().value(.anomaliesTotal, "function", "slow_call")
        #expect(counted == Double(3 * keys + 1))
        // All of it is gone.
        try Self.send(bench) { $0.call("\(name)0", at: 200, milliseconds: 1) }
        #expect(bench.state(of: slot).count < size)
    }

    @Test func textsAreMadeForTheWorstOnly() {
        var suppressed = SuppressedFindings()
        var texts = 0
        func add(_ value: Double, severity: Double) {
            suppressed.add(
                EventContext.Finding(rule: .slowCall, value: value, severity: severity),
                key: 1,
                since: 0,
                until: 60,
                message: {
                    texts += 1
                    return "\(value)"
                }
            )
        }
        add(1, severity: 0.5)
        add(9, severity: 0.4)
        add(1, severity: 0.5)
        #expect(texts == 1)
        add(2, severity: 0.5)
        add(1, severity: 0.6)
        add(.nan, severity: 0.6)
        #expect(texts == 3)
        #expect(suppressed.takeEnded(at: 59).isEmpty && !suppressed.isEmpty)
        let ended = suppressed.takeEnded(at: 60)
        #expect(ended.map { String(decoding: $0.message, as: UTF8.self) } == ["1.0"])
        #expect(ended.map(\.count) == [6] && suppressed.isEmpty)
    }

    // MARK: State

    /// All rules easy to meet.
    private static func eager(cooldownSeconds: Double) -> String {
        var rules: [Resource: [RuleID]] = [:]
        for rule in RuleID.allCases { rule.resource.map { rules[$0, default: []].append(rule) } }
        let low: [Threshold: String] = [
            .slowCallMilliseconds: "0", .durationZScore: "1", .utilizationWindowSeconds: "10",
            .utilizationRaisePercent: "1", .utilizationClearPercent: "1",
            .migrationsRaisePerSecond: "1",
            .migrationsClearPerSecond: "1", .numaRaisePerSecond: "1", .numaClearPerSecond: "1",
            .hotspotRaisePercent: "50", .hotspotClearPercent: "50", .hotspotCPUsMin: "1",
            .largeAllocationMebibytes: "0", .churnRaisePerSecond: "10", .churnClearPerSecond: "10",
            .fragmentationRaiseScore: "1", .fragmentationClearScore: "1", .rateSpikeZScore: "1",
            .retransmitsPacketsMin: "1", .connectionChurnFactor: "1", .connectionChurnMeanMin: "1",
            .hostScanHosts: "2",
            .portScanPorts: "2", .slowIOMilliseconds: "0.001", .latencyZScore: "1",
        ]
        let resources = rules.map { resource, rules in
            let members = rules.map { rule in
                let thresholds = low.filter { $0.key.definition.rule == rule }.map {
                    #""\#($0.key.definition.name)": \#($0.value)"#
                }
                let all = [#""cooldown_s": \#(cooldownSeconds)"#] + thresholds
                return #""\#(rule.name)": {\#(all.joined(separator: ", "))}"#
            }
            return #""\#(resource.name)": {\#(members.joined(separator: ", "))}"#
        }
        return #"{"rules": {\#(resources.joined(separator: ", "))}}"#
    }

    /// Applies batches with ticks between them; `restartsAfter`: there the worker goes on from a checkpoint.
    private static func outcome(
        _ resource: Resource,
        _ batches: [ContractBatch],
        workers count: Int,
        restartsAfter: Int? = nil
    ) throws -> ContractOutcome {
        let directory = try ContractDirectory()
        let text = eager(cooldownSeconds: 0.1)
        func worker(_ index: Int, _ checkpoint: ContractCheckpoint? = nil) throws -> ContractWorker
        {
            let worker = try ContractWorker(
                resource,
                index: index,
                root: directory.path,
                checkpoint: checkpoint
            )
            worker.processor.rules = try RuleSet(Array(text.utf8), file: "rules.json")
            return worker
        }
        func apply(_ batch: ContractBatch, _ worker: ContractWorker, _ index: Int) throws {
            try worker.apply(batch.share { Int($0) % count == index })
            try worker.processor.tick(arrival: batch.arrival + second / 50)
        }
        var workers = try (0..<count).map { try worker($0) }
        for (number, batch) in batches.enumerated() {
            if number == restartsAfter {
                let checkpoints = try workers.map { try $0.checkpoint() }
                // These rows are lost.
                for (index, worker) in workers.enumerated() { try apply(batch, worker, index) }
                workers = try checkpoints.enumerated().map { try worker($0.offset, $0.element) }
            }
            for (index, worker) in workers.enumerated() { try apply(batch, worker, index) }
        }
        return try ContractOutcome(of: workers, in: directory) { Int($0) % count }
    }

    @Test(arguments: Resource.allCases) func neitherWorkersNorRestartsShow(
        _ resource: Resource
    ) throws {
        var generator = EventGenerator(resource, seed: 33, processes: 8)
        let batches = generator.batches(60)
        let one = try Self.outcome(resource, batches, workers: 1)
        let lines = one.files.first { $0.key.hasSuffix(".jsonl") }?.value ?? Data()
        let text = String(decoding: lines, as: UTF8.self)
        let records = text.components(separatedBy: " more in 0.1 s")
        #expect(records.count > (resource == .gpu ? 0 : 5), "\(records.count - 1) records")
        for place in [3, 17, 31] {
            let again = try Self.outcome(resource, batches, workers: 1, restartsAfter: place)
            #expect(one.differences(from: again) == [])
        }
        for count in [2, 5] {
            let other = try Self.outcome(resource, batches, workers: count, restartsAfter: 20)
            #expect(one.files.keys.sorted() == other.files.keys.sorted())
            #expect(one.files.keys.filter { one.files[$0] != other.files[$0] } == [])
        }
    }

    @Test func stateThatIsNoneIsRefused() throws {
        let bench = try ProcessorBench(.io)
        try Self.send(bench) {
            for second in 0..<3 { $0.io(at: Double(second), milliseconds: 200) }
        }
        let slot = bench.slot(of: 7)
        let state = bench.state(of: slot)
        let other = try ProcessorBench(.io)
        for length in 0..<state.count {
            #expect(throws: TraceError.self) { try other.load(state[..<length], of: slot) }
        }
        try other.load(state, of: slot)
        #expect(other.state(of: slot) == state)
        try Self.tick(other, at: 100)
        #expect(other.samples().value(.anomaliesTotal, "io", "slow_io") == 2)
    }

    /// In version 6 all operations had one cool-down.
    @Test func theCooldownOfAllOperationsBecomesThatOfEach() throws {
        let bench = try ProcessorBench(.io)
        try Self.send(bench) { $0.io(at: 0, milliseconds: 200) }
        let state = bench.state(of: bench.slot(of: 7))
        var rules = RawBuffer()
        IORules().encode(into: &rules)
        // They stand before the slot's findings by host, and the cool-downs at their begin: first that of reading.
        var findings = RawBuffer()
        findings.append(integer: UInt32(1))
        findings.append(counted: ProcessorBench.hostName)
        findings.append(byte: 1)
        findings.append(byte: 1)
        findings.append(byte: RuleID.slowIO.rawValue)
        findings.append(varint: 1)
        #expect(Array(state.suffix(findings.count)) == Array(findings.bytes))
        let current = Array(state.dropLast(findings.count).suffix(rules.count))
        let cooldown = Array(current[..<9])
        let rest = Array(current[27...])
        #expect(Array(current[9..<18]) != cooldown)
        let old = cooldown + rest
        try old.withUnsafeBytes {
            var reader = StateReader($0)
            reader.version = StateVersion.beforeDialects
            let loaded = try IORules(decoding: &reader)
            #expect(reader.isAtEnd)
            rules.removeAll()
            loaded.encode(into: &rules)
        }
        let expected = [cooldown, cooldown, cooldown, rest].flatMap(\.self)
        #expect(Array(rules.bytes) == expected)
    }
}
