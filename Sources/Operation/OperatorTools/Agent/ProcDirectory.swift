import Glibc
import SystemIO

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
