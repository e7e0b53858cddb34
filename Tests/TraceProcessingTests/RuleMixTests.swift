import AnomalyRules
import Foundation
import SystemIO
import Testing
import TraceModel
import TraceProcessing
import TraceWire

/// An hour of twenty processes a resource, of which a few misbehave: exactly these are found.
@Suite(.serialized) struct RuleMixTests {
    private typealias Finding = RuleBench.Finding

    private static let seconds = 3_600
    private static let pids: ClosedRange<UInt32> = 101...120

    /// What is to be found: by each rule something, and nothing else in all that the others do.
    private static let planted: [Resource: Set<Finding>] = [
        .function: [
            Finding("slow_call", 103), Finding("duration_outlier", 103),
            Finding("duration_outlier", 109),
            Finding("stuck_call", 115), Finding("slow_call", 116),
        ],
        .cpu: [
            Finding("high_utilization", 102), Finding("migration_storm", 105),
            Finding("numa_migration", 107),
            Finding("cpu_hotspot", 111),
        ],
        .memory: [
            Finding("leak", 104), Finding("large_allocation", 106), Finding("double_free", 108),
            Finding("unmatched_free", 110), Finding("fragmentation", 112), Finding("churn", 114),
            Finding("agent", 118),
        ],
        .network: [
            Finding("rate_spike", 101), Finding("retransmits", 103), Finding("errors", 105),
            Finding("connection_churn", 107), Finding("host_scan", 109), Finding("port_scan", 111),
        ],
        .io: [
            Finding("slow_io", 102), Finding("latency_outlier", 102),
            Finding("latency_outlier", 106),
            Finding("throughput_spike", 110),
        ], .gpu: [Finding("memory_growth", 104), Finding("transfer_drop", 108)],
    ]

    @Test func everyRuleIsPlanted() {
        for rule in RuleID.allCases {
            let resources = rule.resource.map { [$0] } ?? Resource.allCases
            let findings = resources.flatMap { Self.planted[$0] ?? [] }
            #expect(findings.contains { $0.rule == "\(rule.name)" }, "\(rule.name)")
        }
    }

    /// Adds one process's events of one moment; most processes behave.
    private typealias Moment = (inout BatchEncoder, UInt32, Int, inout EventRandom) -> Void

    private func check(_ resource: Resource, seed: UInt64, each step: Int, _ moment: Moment) throws
    {
        let planted = Self.planted[resource] ?? []
        var random = EventRandom(seed: seed)
        let bench = try ProcessorBench(resource)
        for minute in stride(from: 0, to: Self.seconds, by: 60) {
            // A batch comes when its last event has happened, so each process's clock shows that event's time.
            let arrival = ProcessorBench.start + Int64(minute + 60) * 1_000_000_000
            try bench.send(arrival: arrival) { batch in
                for second in stride(from: minute, to: minute + 60, by: step) {
                    for pid in Self.pids { moment(&batch, pid, second, &random) }
                }
            }
            try bench.processor.tick(arrival: arrival)
        }
        let found = Set(try RuleBench.findings(of: bench))
        for rule in Set(planted.union(found).map(\.rule)).sorted() {
            let (reported, real) = (
                found.filter { $0.rule == rule }, planted.filter { $0.rule == rule }
            )
            let right = Double(reported.intersection(real).count)
            let precision = reported.isEmpty ? 1 : right / Double(reported.count)
            let recall = real.isEmpty ? 1 : right / Double(real.count)
            print("seed \(seed) \(resource.name) \(rule): precision \(precision) recall \(recall)")
        }
        #expect(found.subtracting(planted).sorted() == [], "seed \(seed): not planted")
        #expect(planted.subtracting(found).sorted() == [], "seed \(seed): not found")
    }

    /// About `mean`, skewed as durations are: the product of a few factors near 1.
    private static func skewed(_ mean: Double, _ random: inout EventRandom) -> Double {
        var value = mean
        for _ in 0..<4 { value *= 0.8 + Double(random.below(4_000)) / 10_000 }
        return value
    }

    @Test(arguments: [1, 2] as [UInt64]) func functions(seed: UInt64) throws {
        try check(.function, seed: seed, each: 2) { batch, pid, second, random in
            var milliseconds = Self.skewed(Double(pid % 7 + 1) * 3, &random)
            if pid == 103, second == 1_800 { milliseconds = 700 }
            if pid == 109, second == 2_400 { milliseconds = 99 }
            // Nothing comes of it any more.
            if pid == 115, second > 1_200 { return }
            batch.call("f\(second % 3)", at: Double(second), milliseconds: milliseconds, pid: pid)
            if pid == 115, second == 1_200 {
                batch.call("wait", at: 1_201, milliseconds: nil, pid: pid)
            }
            // Open for 28 s at one tick, and over at the next one.
            guard pid == 116 else { return }
            if second == 630 { batch.call("wait", at: 631, milliseconds: nil, pid: pid) }
            if second == 662 { batch.exit("wait", entered: 631, at: 662, pid: pid) }
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func cpus(seed: UInt64) throws {
        var counts: [UInt32: (all: Double, numa: Double)] = [:]
        try check(.cpu, seed: seed, each: 5) { batch, pid, second, random in
            let isBusy = pid == 102 && second > 1_200
            let percent = isBusy ? 92 : 10 + Double(random.below(60))
            let isMoving = (2_000..<2_030).contains(second)
            var count = counts[pid] ?? (0, 0)
            count.all += (pid == 105 && isMoving ? 1_500 : Double(random.below(300))) * 5
            count.numa += (pid == 107 && isMoving ? 30 : Double(random.below(4))) * 5
            counts[pid] = count
            batch.cpu(
                at: Double(second),
                percent: percent + Double(random.below(6)),
                migrations: count.all,
                numa: count.numa,
                hotspot: pid == 111 && second > 3_000 ? 96 : 25 + Double(random.below(50)),
                cpu: UInt32(random.below(8)),
                pid: pid
            )
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func memory(seed: UInt64) throws {
        var held: [UInt32: [UInt64]] = [:]
        var next: UInt64 = 0x1000
        try check(.memory, seed: seed, each: 5) { batch, pid, second, random in
            func operations(_ offset: Double) -> Double {
                let time = Double(second) + offset
                let busy = min(max(time - 2_000, 0), 60)
                // The other one works as hard as it may.
                return time * 20_000 + busy * (pid == 114 ? 130_000 : pid == 117 ? 75_000 : 0)
            }
            var size = 1_000 + random.below(100_000)
            if pid == 106, second == 900 { size = 100 << 20 }
            let score = pid == 112 && second > 3_000 ? 75 : UInt32(random.below(50))
            for _ in 0..<(second == 0 ? 100 : 1) {
                next += 16
                held[pid, default: []].append(next)
                batch.memory(
                    at: Double(second),
                    "alloc",
                    address: next,
                    size: size,
                    operations: operations(0),
                    score: score,
                    pid: pid
                )
                size = 1_000 + random.below(100_000)
            }
            func release(_ address: UInt64, after offset: Double) {
                batch.memory(
                    at: Double(second) + offset,
                    "free",
                    address: address,
                    operations: operations(offset),
                    pid: pid
                )
            }
            // A hundred blocks are held from the start, more and more by the process that leaks.
            let count = held[pid]?.count ?? 0
            let keeps = pid == 104 && second > 600
            if count > 100, !keeps {
                let at = Int(random.below(UInt64(count)))
                let address = held[pid]?.remove(at: at) ?? 0
                release(address, after: 1)
                if pid == 108, second == 2_000 { release(address, after: 2) }
            }
            if pid == 110, second == 2_500 { release(0xDEAD_0000, after: 2) }
            guard pid == 118, second == 1_000 else { return }
            let agentAnomaly = BatchEncoder.Anomaly(
                description: "as the agent sees it",
                severity: 0.5
            )
            batch.memory(
                at: Double(second) + 3,
                "",
                operations: operations(3),
                anomalies: [agentAnomaly],
                pid: pid
            )
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func networks(seed: UInt64) throws {
        var counts: [UInt32: (bytes: Double, packets: Double, lost: Double)] = [:]
        try check(.network, seed: seed, each: 5) { batch, pid, second, random in
            var count = counts[pid] ?? (0, 0, 0)
            let isSpike = pid == 101 && (1_500..<1_510).contains(second)
            count.bytes += isSpike ? 5e8 : Self.skewed(Double(pid - 100) * 1e6, &random)
            count.packets += 1_000
            count.lost += pid == 103 && second > 2_000 ? 40 : Double(random.below(8))
            counts[pid] = count
            func event(_ offset: Double, from: UInt32, to: (host: String, port: UInt32)) {
                batch.network(
                    at: Double(second) + offset,
                    bytes: count.bytes,
                    packets: count.packets,
                    retransmits: count.lost,
                    errors: pid == 105 && second > 2_200 ? 3 : 0,
                    from: from,
                    to: to,
                    pid: pid
                )
            }
            // A few peers, on a few ports.
            let peer = "192.0.2.\(random.below(12))"
            let port = random.pick([443, 5_432, 6_379] as [UInt32])
            event(0, from: 33_000 + UInt32(random.below(20_000)), to: (peer, port))
            guard second == 2_700 else { return }
            for index in UInt32(0)..<80 {
                // Within a second, so that the counters don't stand still for one.
                let offset = Double(index) / 100
                if pid == 107 { event(offset, from: 60_000 + index, to: ("192.0.2.1", 443)) }
                guard index < 40 else { continue }
                if pid == 109 { event(offset, from: 60_000, to: ("198.51.100.\(index)", 22)) }
                if pid == 111 { event(offset, from: 60_000, to: ("192.0.2.99", index + 1)) }
            }
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func disks(seed: UInt64) throws {
        var bytes: [UInt32: Double] = [:]
        try check(.io, seed: seed, each: 2) { batch, pid, second, random in
            var milliseconds = Self.skewed(Double(pid % 5 + 1), &random)
            if pid == 102, second == 1_600 { milliseconds = 400 }
            if pid == 106, second == 1_800 { milliseconds = 60 }
            let isSpike = pid == 110 && (2_400..<2_404).contains(second)
            bytes[pid, default: 0] += isSpike ? 4e8 : Self.skewed(Double(pid - 100) * 4e5, &random)
            batch.io(
                at: Double(second),
                milliseconds: milliseconds,
                operation: random.isOne(in: 3) && milliseconds < 50 ? "WRITE" : "READ",
                bytes: bytes[pid] ?? 0,
                pid: pid
            )
        }
    }

    @Test(arguments: [1, 2] as [UInt64]) func gpus(seed: UInt64) throws {
        try check(.gpu, seed: seed, each: 10) { batch, pid, second, random in
            var used = 1e9 + Double(random.below(200)) * 1e6
            if pid == 104 { used = 1e9 + Double(second) * 1e5 + Double(random.below(1_000)) }
            let at = Double(second)
            batch.gpu(at: at, .memory(pid: pid, bytes: UInt64(used)))
            var rate = Self.skewed(1e9, &random)
            if pid == 108, second == 3_000 { rate = 1e8 }
            let bytes = UInt64(rate)
            batch.gpu(at: at, .transfer(pid: pid, bytesPerSecond: bytes, kind: "H2D"))
        }
    }
}
