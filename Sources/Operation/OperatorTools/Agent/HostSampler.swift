import Glibc
import SystemIO
package import TraceModel
import TraceWire

/// The state that the agent keeps of one process between samples.
struct ProcessHistory {
    let startTicks: UInt64
    /// Time of the last sample, in seconds since boot.
    var sampledAt: Double
    var cpuTicks: UInt64
    var offCPUMicroseconds: UInt64
    /// How often the process was seen on each CPU.
    var seenOnCPU: [UInt32]
    var resident: UInt64?
    var growths: UInt64 = 0
    var shrinkages: UInt64 = 0
    var io: ProcessIO?
    /// The names last sent, by thread id; the process's own is at 0.
    var names: [UInt32: String] = [:]
    /// The number of the last sample that contained the process.
    var sampleNumber: UInt64

    /// The CPU on which it was seen most, and the percentage of samples there.
    var hotspot: (cpu: UInt32, percent: Double) {
        var best = 0
        var total: UInt64 = 0
        for (cpu, count) in seenOnCPU.enumerated() {
            total += UInt64(count)
            if count > seenOnCPU[best] { best = cpu }
        }
        guard total > 0 else { return (0, 0) }
        return (UInt32(best), Double(seenOnCPU[best]) * 100 / Double(total))
    }

    mutating func saw(cpu: UInt32) {
        let index = Int(cpu)
        // On x86 the kernel supports at most 8,192 CPUs.
        guard index < 8192 else { return }
        if index >= seenOnCPU.count {
            seenOnCPU.append(contentsOf: repeatElement(0, count: index + 1 - seenOnCPU.count))
        }
        seenOnCPU[index] &+= 1
    }
}

/// Converts `/proc` into events, one sample at a time.
///
/// - CPU: one event for each process and sample. On-CPU and off-CPU time and migrations count from the start of the
///   process (overlapping off-CPU time of several threads counts as none). Utilization is that since the previous
///   sample, or since the start of the process where it is seen for the first time.
/// - Memory: one event where the resident size changed: `alloc` when it grew, `free` when it shrank, with the
///   difference as size; `total_allocs` and `total_frees` count these events. The first event of a process is `sample`
///   without a size, because it is not known when the process allocated its memory.
/// - I/O: one event for each operation whose bytes or calls changed. The kernel reports neither latency nor device
///   here, so they stay empty.
/// - Network: one event for each socket and sample, in this network namespace. The kernel counts bytes by interface and
///   not by socket, so the byte fields stay 0.
/// - Names of processes and threads that are new or have changed, and all of them every `Limits.agentNamesSeconds`.
package struct HostSampler {
    private let proc: ProcDirectory
    private let ticksPerSecond: Double
    private var histories: [UInt32: ProcessHistory] = [:]
    private var sampleNumber: UInt64 = 0
    /// Processes that samples left out because there were too many.
    package private(set) var processesLeftOut = 0
    package private(set) var socketsLeftOut = 0
    /// Names that samples left out because there were too many.
    package private(set) var namesLeftOut = 0
    /// When all names were last sent, in seconds since boot.
    private var namesSentAt: Double?
    /// Names recorded in the current sample.
    private var nameCount = 0

    /// The process and the time that events are about.
    private struct Subject {
        let pid: UInt32
        let comm: String
        let timestamp: String
    }

    package init(proc: ProcDirectory, ticksPerSecond: Int = sysconf(Int32(_SC_CLK_TCK))) {
        self.proc = proc
        self.ticksPerSecond = Double(ticksPerSecond)
    }

    /// Takes one sample; `now` returns the time for timestamps.
    /// - Throws: `SystemError` where `/proc` can't be listed, and any error of the sink.
    package mutating func sample(now: () -> EpochNanoseconds, into sink: any EventSink) throws {
        sampleNumber += 1
        let processIDs = try proc.processIDs()
        processesLeftOut += max(0, processIDs.count - Limits.agentProcessesMax)
        let sockets = readSockets()
        var socketsSent = 0
        let sendsAllNames = isTimeForAllNames()
        nameCount = 0
        for pid in processIDs.prefix(Limits.agentProcessesMax) {
            guard let stat = proc.contents(of: pid, "stat").flatMap(ProcessStat.init),
                let uptime = proc.uptime()
            else {
                continue
            }
            let subject = Subject(
                pid: pid,
                comm: stat.comm,
                timestamp: TraceClock.epochSeconds(now() / 1000 * 1000)
            )
            var history = history(of: pid, stat, uptime: uptime)
            try sendNames(subject, &history, all: sendsAllNames, into: sink)
            try sink.append(cpuEvent(subject, stat, uptime: uptime, &history))
            try sampleMemory(subject, &history, into: sink)
            try sampleIO(subject, &history, into: sink)
            if !sockets.isEmpty {
                try sampleSockets(subject, sockets, sent: &socketsSent, into: sink)
            }
            histories[pid] = history
        }
        let current = sampleNumber
        histories = histories.filter { $0.value.sampleNumber == current }
    }

    /// Returns the history of a process, or a new one for a process that has just started.
    private func history(of pid: UInt32, _ stat: ProcessStat, uptime: Double) -> ProcessHistory {
        // Another start time means another process with the same id.
        if let known = histories[pid], known.startTicks == stat.startTicks { return known }
        return ProcessHistory(
            startTicks: stat.startTicks,
            sampledAt: min(uptime, Double(stat.startTicks) / ticksPerSecond),
            cpuTicks: 0,
            offCPUMicroseconds: 0,
            seenOnCPU: [],
            sampleNumber: sampleNumber
        )
    }

    // MARK: Names

    /// True at first, and then once every `Limits.agentNamesSeconds`.
    private mutating func isTimeForAllNames() -> Bool {
        guard let uptime = proc.uptime() else { return false }
        if let namesSentAt, uptime - namesSentAt < Double(Limits.agentNamesSeconds) { return false }
        namesSentAt = uptime
        return true
    }

    /// Sends those names of a process and its threads that are new or have changed, or all of them.
    private mutating func sendNames(
        _ subject: Subject,
        _ history: inout ProcessHistory,
        all: Bool,
        into sink: any EventSink
    ) throws {
        let known = all ? [:] : history.names
        history.names = [:]
        try sendName(subject.comm, of: subject.pid, thread: 0, known, &history, into: sink)
        for tid in proc.threadIDs(of: subject.pid) {
            guard let bytes = proc.contents(of: subject.pid, "task/\(tid)/comm") else { continue }
            let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
            let name = String(decoding: line, as: UTF8.self)
            try sendName(name, of: subject.pid, thread: tid, known, &history, into: sink)
        }
    }

    private mutating func sendName(
        _ text: String,
        of pid: UInt32,
        thread: UInt32,
        _ known: [UInt32: String],
        _ history: inout ProcessHistory,
        into sink: any EventSink
    ) throws {
        guard !text.isEmpty else { return }
        guard nameCount < Limits.agentNamesMax else {
            namesLeftOut += 1
            return
        }
        nameCount += 1
        history.names[thread] = text
        if let name = known[thread], TextKey.areEqual(name, text) { return }
        var name = BatchEncoder.Name()
        name.pid = pid
        name.tid = thread
        name.name = text
        try sink.append(name)
    }

    // MARK: CPU

    private func cpuEvent(
        _ subject: Subject,
        _ stat: ProcessStat,
        uptime: Double,
        _ history: inout ProcessHistory
    ) -> BatchEncoder.CPU {
        let wall = max(0, uptime - history.sampledAt)
        let ticks = stat.cpuTicks >= history.cpuTicks ? stat.cpuTicks - history.cpuTicks : 0
        let busy = Double(ticks) / ticksPerSecond
        history.offCPUMicroseconds += UInt64(max(0, wall - busy) * 1e6)
        history.sampledAt = uptime
        history.cpuTicks = stat.cpuTicks
        history.sampleNumber = sampleNumber
        history.saw(cpu: stat.processor)
        let hotspot = history.hotspot
        var event = BatchEncoder.CPU()
        event.timestamp = subject.timestamp
        event.pid = subject.pid
        event.ppid = stat.ppid
        event.comm = subject.comm
        event.cpuID = stat.processor
        event.onCPUMicroseconds = UInt64(Double(stat.cpuTicks) / ticksPerSecond * 1e6)
        event.offCPUMicroseconds = history.offCPUMicroseconds
        event.utilizationPercent = wall > 0 ? busy / wall * 100 : 0
        event.migrations = migrations(of: subject.pid)
        event.hotspotCPU = hotspot.cpu
        event.hotspotPercent = hotspot.percent
        return event
    }

    private func migrations(of pid: UInt32) -> UInt32 {
        guard let bytes = proc.contents(of: pid, "sched"),
            let count = FieldScanner.number(named: "se.nr_migrations", in: bytes)
        else { return 0 }
        return UInt32(truncatingIfNeeded: count)
    }

    // MARK: Memory

    private func sampleMemory(
        _ subject: Subject,
        _ history: inout ProcessHistory,
        into sink: any EventSink
    ) throws {
        guard let memory = proc.contents(of: subject.pid, "status").flatMap(ProcessMemory.init),
            memory.resident != history.resident
        else { return }
        let before = history.resident
        history.resident = memory.resident
        var event = BatchEncoder.Memory()
        event.timestamp = subject.timestamp
        event.pid = subject.pid
        event.tgid = subject.pid
        event.comm = subject.comm
        if let before, memory.resident > before {
            history.growths += 1
            event.operation = "alloc"
            event.size = memory.resident - before
        } else if let before {
            history.shrinkages += 1
            event.operation = "free"
            event.size = before - memory.resident
        } else {
            event.operation = "sample"
        }
        event.totalAllocs = history.growths
        event.totalFrees = history.shrinkages
        event.currentMemory = memory.resident
        event.peakMemory = memory.peak
        try sink.append(event)
    }

    // MARK: I/O

    private func sampleIO(
        _ subject: Subject,
        _ history: inout ProcessHistory,
        into sink: any EventSink
    ) throws {
        guard let io = proc.contents(of: subject.pid, "io").flatMap(ProcessIO.init) else { return }
        // The first values are only the base of later differences.
        let before = history.io ?? io
        history.io = io
        var event = BatchEncoder.IO()
        event.timestamp = subject.timestamp
        event.pid = subject.pid
        event.comm = subject.comm
        event.readBytes = io.readBytes
        event.writeBytes = io.writeBytes
        event.readOperations = io.readCalls
        event.writeOperations = io.writeCalls
        if io.readBytes != before.readBytes || io.readCalls != before.readCalls {
            event.operation = "READ"
            event.bytes = io.readBytes &- before.readBytes
            try sink.append(event)
        }
        if io.writeBytes != before.writeBytes || io.writeCalls != before.writeCalls {
            event.operation = "WRITE"
            event.bytes = io.writeBytes &- before.writeBytes
            try sink.append(event)
        }
    }

    // MARK: Network

    private typealias SocketsByInode = [UInt64: (entry: SocketEntry, transport: String)]

    private func readSockets() -> SocketsByInode {
        var sockets: SocketsByInode = [:]
        for (table, transport) in [
            ("tcp", "TCP"), ("tcp6", "TCP"), ("udp", "UDP"), ("udp6", "UDP"),
        ] {
            for entry in SocketEntry.parse(proc.contents("net/\(table)") ?? []) {
                sockets[entry.inode] = (entry, transport)
            }
        }
        return sockets
    }

    private mutating func sampleSockets(
        _ subject: Subject,
        _ sockets: SocketsByInode,
        sent: inout Int,
        into sink: any EventSink
    ) throws {
        // A duplicated descriptor is the same socket.
        let inodes = Set(proc.socketInodes(of: subject.pid)).sorted()
        let mine = inodes.compactMap { sockets[$0] }
        let active = mine.count { $0.entry.isEstablished }
        for (entry, transport) in mine {
            guard sent < Limits.agentSocketsMax else {
                socketsLeftOut += 1
                continue
            }
            sent += 1
            var event = BatchEncoder.Network()
            event.timestamp = subject.timestamp
            event.pid = subject.pid
            event.tgid = subject.pid
            event.comm = subject.comm
            event.sourceAddress = entry.sourceAddress
            event.sourcePort = entry.sourcePort
            event.destinationAddress = entry.destinationAddress
            event.destinationPort = entry.destinationPort
            event.transport = transport
            event.activeConnections = UInt32(clamping: active)
            try sink.append(event)
        }
    }
}
