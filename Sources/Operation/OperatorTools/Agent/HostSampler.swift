import Glibc
import SystemIO
package import TraceModel
import TraceWire

/// Reads files below `/proc` (or a copy of it). A file that is gone or not readable is nil, because processes may end
/// at any time.
package struct ProcDirectory: Sendable {
    /// Enough for `net/tcp` with 100,000 sockets.
    private static let fileBytesMax = 16 << 20

    package let root: String

    package init(root: String = "/proc") { self.root = root }

    /// Returns the ids of all processes, ascending.
    package func processIDs() throws -> [UInt32] {
        try FileSystem.list(root).compactMap { UInt32($0) }.sorted()
    }

    /// Returns the threads of a process, ascending; empty where it is gone.
    package func threadIDs(of process: UInt32) -> [UInt32] {
        ((try? FileSystem.list("\(root)/\(process)/task")) ?? []).compactMap { UInt32($0) }.sorted()
    }

    /// Reads the file `name` of a process.
    package func contents(of process: UInt32, _ name: String) -> [UInt8]? {
        contents("\(process)/\(name)")
    }

    /// Reads a whole file until its end, because the kernel reports no size.
    package func contents(_ name: String) -> [UInt8]? {
        guard let file = try? File("\(root)/\(name)", .read) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        var count = 0
        while true {
            guard
                let done = try? unsafe bytes.withUnsafeMutableBytes({ buffer in
                    try unsafe file.read(into: .init(rebasing: buffer[count...]), at: count)
                })
            else { return nil }
            count += done
            if count < bytes.count || count >= Self.fileBytesMax { break }
            bytes.append(contentsOf: [UInt8](repeating: 0, count: bytes.count))
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Returns the inodes of a process's sockets; empty where its descriptors are not readable.
    package func socketInodes(of process: UInt32) -> [UInt64] {
        let directory = "\(root)/\(process)/fd"
        guard let names = try? FileSystem.list(directory) else { return [] }
        return names.compactMap { inode(of: "\(directory)/\($0)") }
    }

    /// Seconds since boot.
    package func uptime() -> Double? {
        guard let bytes = contents("uptime") else { return nil }
        var fields = FieldScanner(bytes)
        return fields.word().flatMap { Double(String(decoding: $0, as: UTF8.self)) }
    }

    /// Parses the target of a link, such as `socket:[12345]`.
    private func inode(of link: String) -> UInt64? {
        let target = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let count = unsafe readlink(link, start, buffer.count)
            return unsafe String(
                decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)),
                as: UTF8.self
            )
        }
        guard target.hasPrefix("socket:["), target.hasSuffix("]") else { return nil }
        return UInt64(target.dropFirst(8).dropLast())
    }
}

/// Scans the words and numbers of a small text from the kernel.
package struct FieldScanner {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// Returns the next line without its end, or nil behind the last one.
    mutating func line() -> FieldScanner? {
        guard !rest.isEmpty else { return nil }
        let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
        let line = rest[rest.startIndex..<end]
        rest = rest[min(end + 1, rest.endIndex)...]
        return FieldScanner(line)
    }

    /// Returns the next word, delimited by blanks, or nil where there is none.
    mutating func word() -> ArraySlice<UInt8>? {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0A }
        guard let start = rest.firstIndex(where: { !isBlank($0) }) else { return nil }
        let end = rest[start...].firstIndex(where: isBlank) ?? rest.endIndex
        let word = rest[start..<end]
        rest = rest[end...]
        return word
    }

    /// Returns the next word as a decimal number.
    mutating func number() -> UInt64? {
        guard let word = word() else { return nil }
        return UInt64(String(decoding: word, as: UTF8.self))
    }

    /// Skips words; nil where there are fewer.
    mutating func skip(_ count: Int) -> Void? {
        for _ in 0..<count { guard word() != nil else { return nil } }
        return ()
    }

    /// Returns the number behind `name` on the first line that begins with it.
    package static func number(named name: String, in bytes: [UInt8]) -> UInt64? {
        var lines = FieldScanner(bytes)
        while var line = lines.line() {
            guard let first = line.word(), first.elementsEqual(name.utf8) else { continue }
            if let value = line.number() { return value }
            // In `se.nr_migrations : 12` the colon is a word of its own.
            return line.number()
        }
        return nil
    }
}

/// The contents of `/proc/PID/stat` (proc_pid_stat(5)); times are in clock ticks.
package struct ProcessStat: Equatable, Sendable {
    package let comm: String
    package let ppid: UInt32
    package let userTicks: UInt64
    package let systemTicks: UInt64
    /// Ticks since boot at which the process started; with the process id it identifies a process uniquely.
    package let startTicks: UInt64
    /// The CPU on which it last ran.
    package let processor: UInt32

    /// Parses the file; nil where it has another form. The name in parentheses may itself contain blanks and
    /// parentheses, so it ends at the last one.
    package init?(_ bytes: [UInt8]) {
        guard let open = bytes.firstIndex(of: UInt8(ascii: "(")),
            let close = bytes.lastIndex(of: UInt8(ascii: ")")),
            open < close
        else { return nil }
        comm = String(decoding: bytes[(open + 1)..<close], as: UTF8.self)
        // Field 3 is the first one behind the name.
        var fields = FieldScanner(bytes[(close + 1)...])
        guard fields.skip(1) != nil, let ppid = fields.number(), fields.skip(9) != nil,
            let user = fields.number(),
            let system = fields.number(), fields.skip(6) != nil, let start = fields.number(),
            fields.skip(16) != nil,
            let processor = fields.number()
        else { return nil }
        self.ppid = UInt32(truncatingIfNeeded: ppid)
        userTicks = user
        systemTicks = system
        startTicks = start
        self.processor = UInt32(truncatingIfNeeded: processor)
    }

    package var cpuTicks: UInt64 { userTicks &+ systemTicks }
}

/// The memory lines of `/proc/PID/status`, in bytes.
package struct ProcessMemory: Equatable, Sendable {
    package let resident: UInt64
    package let peak: UInt64

    /// Parses the file; nil for a kernel thread, which has no such lines.
    package init?(_ bytes: [UInt8]) {
        guard let resident = FieldScanner.number(named: "VmRSS:", in: bytes) else { return nil }
        self.resident = resident << 10
        peak = (FieldScanner.number(named: "VmHWM:", in: bytes) ?? resident) << 10
    }
}

/// The contents of `/proc/PID/io`: bytes that reached the storage layer, and calls to read and write; cumulative.
package struct ProcessIO: Equatable, Sendable {
    package let readBytes: UInt64
    package let writeBytes: UInt64
    package let readCalls: UInt64
    package let writeCalls: UInt64

    package init?(_ bytes: [UInt8]) {
        guard let readBytes = FieldScanner.number(named: "read_bytes:", in: bytes),
            let writeBytes = FieldScanner.number(named: "write_bytes:", in: bytes),
            let readCalls = FieldScanner.number(named: "syscr:", in: bytes),
            let writeCalls = FieldScanner.number(named: "syscw:", in: bytes)
        else { return nil }
        self.readBytes = readBytes
        self.writeBytes = writeBytes
        self.readCalls = readCalls
        self.writeCalls = writeCalls
    }
}

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

/// One line of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
package struct SocketEntry: Equatable, Sendable {
    package let inode: UInt64
    package let sourceAddress: String
    package let sourcePort: UInt32
    package let destinationAddress: String
    /// 0 for a socket without a peer, which is a listening one.
    package let destinationPort: UInt32
    package let state: UInt64

    /// TCP_ESTABLISHED, which a connected UDP socket has as well.
    package var isEstablished: Bool { state == 1 }

    /// Parses a table and returns every socket that belongs to a process.
    package static func parse(_ table: [UInt8]) -> [SocketEntry] {
        var lines = FieldScanner(table)
        _ = lines.line()
        var entries: [SocketEntry] = []
        while let line = lines.line() { if let entry = SocketEntry(line) { entries.append(entry) } }
        return entries
    }

    /// Parses `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`.
    private init?(_ line: FieldScanner) {
        var line = line
        guard line.skip(1) != nil, let source = line.word(), let destination = line.word(),
            let state = line.word(),
            line.skip(5) != nil, let inode = line.number(), inode != 0,
            let (sourceAddress, sourcePort) = Self.endpoint(source),
            let (destinationAddress, destinationPort) = Self.endpoint(destination),
            let state = UInt64(String(decoding: state, as: UTF8.self), radix: 16)
        else { return nil }
        self.inode = inode
        self.sourceAddress = sourceAddress
        self.sourcePort = sourcePort
        self.destinationAddress = destinationAddress
        self.destinationPort = destinationPort
        self.state = state
    }

    /// Parses an endpoint such as `0100007F:1F90`: words of 32 bits in this machine's byte order, then the port.
    private static func endpoint(_ text: ArraySlice<UInt8>) -> (String, UInt32)? {
        let parts = text.split(separator: UInt8(ascii: ":"))
        guard parts.count == 2, let port = hex(parts[1]) else { return nil }
        var bytes: [UInt8] = []
        var digits = parts[0]
        while digits.count >= 8 {
            guard let word = hex(digits.prefix(8)) else { return nil }
            unsafe withUnsafeBytes(of: word) { unsafe bytes.append(contentsOf: $0) }
            digits = digits.dropFirst(8)
        }
        guard digits.isEmpty, bytes.count == 4 || bytes.count == 16 else { return nil }
        var name = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard unsafe inet_ntop(family, bytes, &name, socklen_t(name.count)) != nil else {
            return nil
        }
        let ascii = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        return (String(decoding: ascii, as: UTF8.self), port)
    }

    private static func hex(_ digits: ArraySlice<UInt8>) -> UInt32? {
        UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
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
