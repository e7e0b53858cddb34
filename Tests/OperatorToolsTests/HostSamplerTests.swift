import Foundation
import OperatorTools
import Testing
import TraceWire

/// Samples a directory that looks like `/proc`.
struct HostSamplerTests {
    private let root = FileManager.default.temporaryDirectory.appendingPathComponent(
        "proc-\(UUID().uuidString)"
    )

    private func write(_ path: String, _ text: String) throws {
        let file = root.appendingPathComponent(path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
        try Data(text.utf8).write(to: file)
    }

    private func writeProcess(
        ticks: Int,
        start: Int = 1000,
        cpu: Int,
        resident: Int,
        readBytes: Int = 0,
        writeCalls: Int = 0
    ) throws {
        try write(
            "42/stat",
            "42 (a b) S 1 0 0 0 -1 0 0 0 0 0 \(ticks) 0 0 0 20 0 1 0 \(start) 0 0 0 0 0 0 0 0 0 0 0 0 0 "
                + "0 0 0 \(cpu) 0 0 0"
        )
        try write("42/status", "VmHWM:\t 500 kB\nVmRSS:\t \(resident) kB\n")
        try write(
            "42/io",
            "syscr: 1\nsyscw: \(writeCalls)\nread_bytes: \(readBytes)\nwrite_bytes: 0\n"
        )
        try write("42/sched", "a b (42, #threads: 1)\nse.nr_migrations      :      9\n")
    }

    private func sample(_ sampler: inout HostSampler, at uptime: Int) throws -> CollectedEvents {
        try write("uptime", "\(uptime).00 1.00\n")
        let events = CollectedEvents()
        try sampler.sample(now: { 1_700_000_000_123_456_789 }, into: events)
        return events
    }

    @Test func firstSightIsSinceTheProcessBegan() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 500, cpu: 3, resident: 100)
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        let events = try sample(&sampler, at: 20)
        let cpu = try #require(events.cpu.first)
        #expect(events.cpu.count == 1)
        #expect(cpu.timestamp == "1700000000.123456")
        #expect(cpu.pid == 42)
        #expect(cpu.ppid == 1)
        #expect(cpu.comm == "a b")
        #expect(cpu.onCPUMicroseconds == 5_000_000)
        #expect(cpu.offCPUMicroseconds == 5_000_000)
        #expect(cpu.utilizationPercent == 50)
        #expect(cpu.migrations == 9)
        #expect(cpu.cpuID == 3)
        #expect(cpu.hotspotCPU == 3)
        #expect(cpu.hotspotPercent == 100)
        let memory = try #require(events.memory.first)
        // It may have had that for days.
        #expect(memory.operation == "sample")
        #expect(memory.size == 0)
        #expect(memory.totalAllocs == 0)
        #expect(memory.currentMemory == 102_400)
        #expect(memory.peakMemory == 512_000)
        #expect(events.io.isEmpty)
    }

    @Test func laterSamplesAreDifferences() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 500, cpu: 3, resident: 100)
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        _ = try sample(&sampler, at: 20)
        try writeProcess(ticks: 525, cpu: 1, resident: 60, readBytes: 4096, writeCalls: 2)
        let second = try sample(&sampler, at: 21)
        let cpu = try #require(second.cpu.first)
        #expect(cpu.utilizationPercent == 25)
        #expect(cpu.onCPUMicroseconds == 5_250_000)
        #expect(cpu.offCPUMicroseconds == 5_750_000)
        #expect(cpu.hotspotPercent == 50)
        let memory = try #require(second.memory.first)
        #expect(memory.operation == "free")
        #expect(memory.size == 40_960)
        #expect(memory.totalAllocs == 0)
        #expect(memory.totalFrees == 1)
        #expect(second.io.map(\.operation) == ["READ", "WRITE"])
        #expect(second.io.map(\.bytes) == [4096, 0])
        let third = try sample(&sampler, at: 22)
        #expect(third.cpu.map(\.utilizationPercent) == [0])
        #expect(third.memory.isEmpty)
        #expect(third.io.isEmpty)
        try writeProcess(ticks: 525, cpu: 1, resident: 70, readBytes: 4096, writeCalls: 2)
        let growth = try #require(try sample(&sampler, at: 23).memory.first)
        #expect(growth.operation == "alloc")
        #expect(growth.size == 10_240)
        #expect(growth.totalAllocs == 1)
    }

    private func names(_ events: CollectedEvents) -> [String] {
        events.names.map { "\($0.pid) \($0.tid) \($0.name) \($0.sortIndex)" }
    }

    @Test func namesAreSentWhereTheyAreNew() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 0, cpu: 0, resident: 1)
        try write("42/task/42/comm", "a b\n")
        try write("42/task/43/comm", "worker\n")
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        #expect(
            names(try sample(&sampler, at: 20)) == ["42 0 a b 0", "42 42 a b 0", "42 43 worker 0"]
        )
        #expect(names(try sample(&sampler, at: 21)).isEmpty)
        try write("42/task/43/comm", "idle\n")
        try write("42/task/44/comm", "worker\n")
        #expect(names(try sample(&sampler, at: 22)) == ["42 43 idle 0", "42 44 worker 0"])
        // A thread that is gone is forgotten; one that takes its id is a new one.
        try FileManager.default.removeItem(at: root.appendingPathComponent("42/task/44"))
        #expect(names(try sample(&sampler, at: 23)).isEmpty)
        try write("42/task/44/comm", "worker\n")
        #expect(names(try sample(&sampler, at: 24)) == ["42 44 worker 0"])
        // Another process with the same id.
        try writeProcess(ticks: 0, start: 2400, cpu: 0, resident: 1)
        #expect(names(try sample(&sampler, at: 25)).count == 4)
        #expect(sampler.namesLeftOut == 0)
    }

    @Test func allNamesAreSentAgainNowAndThen() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 0, cpu: 0, resident: 1)
        try write("42/task/42/comm", "a b\n")
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        let counts = try [20, 21, 319, 320, 321, 619, 620].map {
            try sample(&sampler, at: $0).names.count
        }
        #expect(counts == [2, 0, 0, 2, 0, 0, 2])
    }

    /// Several threads use more than one CPU's time; the cumulative value must not fall for that.
    @Test func offCPUTimeNeverFalls() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 0, cpu: 0, resident: 1)
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        _ = try sample(&sampler, at: 20)
        try writeProcess(ticks: 400, cpu: 0, resident: 1)
        let cpu = try #require(try sample(&sampler, at: 21).cpu.first)
        #expect(cpu.utilizationPercent == 400)
        #expect(cpu.offCPUMicroseconds == 10_000_000)
    }

    @Test func aReusedProcessIDStartsAfresh() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 500, cpu: 3, resident: 100, readBytes: 1 << 20)
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        _ = try sample(&sampler, at: 20)
        try writeProcess(ticks: 10, start: 2000, cpu: 0, resident: 100)
        let events = try sample(&sampler, at: 21)
        #expect(events.cpu.map(\.utilizationPercent) == [10])
        #expect(events.memory.map(\.operation) == ["sample"])
        #expect(events.io.isEmpty)
    }

    @Test func socketsBelongToTheirProcess() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        try writeProcess(ticks: 0, cpu: 0, resident: 1)
        let rest = "00000000:00000000 00:00000000 00000000 0 0"
        try write(
            "net/tcp",
            "header\n 0: 0100007F:1F90 00000000:0000 0A \(rest) 7\n"
                + " 1: 0100007F:1F90 0100007F:C000 01 \(rest) 8\n"
                + " 2: 0100007F:C000 0100007F:1F90 01 \(rest) 9\n"
        )
        let descriptors = root.appendingPathComponent("42/fd")
        try FileManager.default.createDirectory(at: descriptors, withIntermediateDirectories: true)
        for (name, target) in [
            ("3", "socket:[7]"), ("4", "socket:[8]"), ("5", "socket:[8]"), ("6", "/dev/null"),
        ] {
            try FileManager.default.createSymbolicLink(
                atPath: descriptors.appendingPathComponent(name).path,
                withDestinationPath: target
            )
        }
        var sampler = HostSampler(proc: ProcDirectory(root: root.path), ticksPerSecond: 100)
        let events = try sample(&sampler, at: 20)
        #expect(events.network.map(\.sourcePort) == [8080, 8080])
        #expect(events.network.map(\.destinationPort) == [0, 49152])
        #expect(events.network.map(\.activeConnections) == [1, 1])
        #expect(events.network.map(\.transport) == ["TCP", "TCP"])
    }

    @Test func theRealProcCanBeSampled() throws {
        var sampler = HostSampler(proc: ProcDirectory())
        let events = CollectedEvents()
        try sampler.sample(now: { 1_700_000_000_000_000_000 }, into: events)
        let own = UInt32(ProcessInfo.processInfo.processIdentifier)
        #expect(events.cpu.contains { $0.pid == own && $0.onCPUMicroseconds > 0 })
        #expect(events.memory.contains { $0.pid == own && $0.currentMemory > 1 << 20 })
        #expect(events.names.contains { $0.pid == own && $0.tid == 0 && !$0.name.isEmpty })
        #expect(events.names.contains { $0.pid == own && $0.tid == own })
    }
}
