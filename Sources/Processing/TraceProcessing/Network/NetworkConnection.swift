import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

/// The traffic between two ends over one protocol, in both directions.
struct NetworkConnection: ~Copyable {
    /// A connection as events name it; borrowed. The order of the ends makes no difference.
    struct Key {
        let local: NetworkEnd
        let remote: NetworkEnd
        /// The protocol's number in `NetworkProtocols`.
        let transport: UInt8

        @inline(__always) var hash: UInt64 {
            NameHash.mix((Self.hash(local) &+ Self.hash(remote)) ^ UInt64(transport) << 56)
        }

        @inline(__always) private static func hash(_ end: NetworkEnd) -> UInt64 {
            NameHash.mix(NameHash.of(end.address) ^ UInt64(end.port) << 32 ^ 0x5851_F42D)
        }
    }

    /// The traffic in the open window.
    struct Traffic: BitwiseCopyable {
        var events: UInt64 = 0
        var txBytes: UInt64 = 0
        var rxBytes: UInt64 = 0
    }

    /// When it was opened and last seen, which may be before the open window.
    struct Life: BitwiseCopyable {
        let opened: EpochNanoseconds
        let lastSeen: EpochNanoseconds
    }

    /// Both addresses in one allocation, the one of the process's end first.
    private let addresses: UnsafeMutableRawPointer
    private let localCount: Int32
    private let remoteCount: Int32
    private let localPort: UInt32
    private let remotePort: UInt32
    let transport: UInt8
    private(set) var opened: EpochNanoseconds
    private(set) var lastSeen: EpochNanoseconds
    /// Totals modulo 2⁶⁴.
    private(set) var txBytes: UInt64 = 0
    private(set) var rxBytes: UInt64 = 0
    private var window = Traffic()

    init(_ key: Key, time: EpochNanoseconds) {
        let (local, remote) = (key.local.address, key.remote.address)
        localCount = Int32(local.count)
        remoteCount = Int32(remote.count)
        addresses = .allocate(byteCount: local.count + remote.count, alignment: 8)
        if let start = local.start { addresses.copyMemory(from: start, byteCount: local.count) }
        if let start = remote.start {
            (addresses + local.count).copyMemory(from: start, byteCount: remote.count)
        }
        localPort = key.local.port
        remotePort = key.remote.port
        transport = key.transport
        opened = time
        lastSeen = time
    }

    deinit { addresses.deallocate() }

    /// The bytes that its slot's budget is charged with, including its cells in tables.
    var stateBytes: Int {
        MemoryLayout<Self>.stride + MemoryLayout<UnsafeRawPointer>.stride + StateCost.index
            + StateCost.name(Int(localCount) + Int(remoteCount))
    }

    private var local: ByteView { ByteView(start: addresses, count: Int(localCount)) }

    private var remote: ByteView {
        ByteView(start: addresses + Int(localCount), count: Int(remoteCount))
    }

    /// The key, valid as long as this value lives.
    var key: Key {
        Key(
            local: NetworkEnd(address: local, port: localPort),
            remote: NetworkEnd(address: remote, port: remotePort),
            transport: transport
        )
    }

    @inline(__always) borrowing func matches(_ key: Key) -> Bool {
        transport == key.transport
            && (isBetween(key.local, key.remote) || isBetween(key.remote, key.local))
    }

    @inline(__always) private borrowing func isBetween(
        _ one: NetworkEnd,
        _ other: NetworkEnd
    ) -> Bool {
        localPort == one.port && remotePort == other.port
            && Self.isEqual(addresses, Int(localCount), one.address)
            && Self.isEqual(addresses + Int(localCount), Int(remoteCount), other.address)
    }

    @inline(__always) private static func isEqual(
        _ start: UnsafeRawPointer,
        _ count: Int,
        _ other: ByteView
    ) -> Bool {
        guard count == other.count else { return false }
        guard let other = other.start else { return true }
        return memoryEquals(start, other, count)
    }

    @inline(__always) mutating func add(_ bytes: UInt64, isSend: Bool, at time: EpochNanoseconds) {
        opened = min(opened, time)
        lastSeen = max(lastSeen, time)
        window.events += 1
        if isSend {
            txBytes &+= bytes
            window.txBytes = SummaryValues.sum(window.txBytes, bytes)
        } else {
            rxBytes &+= bytes
            window.rxBytes = SummaryValues.sum(window.rxBytes, bytes)
        }
    }

    // MARK: The open window

    var life: Life { Life(opened: opened, lastSeen: lastSeen) }

    var hasWindow: Bool { window.events > 0 }

    /// Returns the traffic of the window, and begins a new one.
    mutating func takeWindow() -> Traffic {
        defer { window = Traffic() }
        return window
    }

    /// Appends `10.0.0.1:40000 -> [fe80::2]:443 TCP`.
    borrowing func appendName(transport: ByteView, to text: inout RawBuffer) {
        Self.append(local, localPort, to: &text)
        text.append(" -> ")
        Self.append(remote, remotePort, to: &text)
        guard !transport.isEmpty else { return }
        text.append(" ")
        text.append(transport.buffer)
    }

    private static func append(_ address: ByteView, _ port: UInt32, to text: inout RawBuffer) {
        let bytes = address.buffer
        let isBracketed = bytes.first != UInt8(ascii: "[") && bytes.contains(UInt8(ascii: ":"))
        if isBracketed { text.append("[") }
        text.append(bytes)
        text.append(isBracketed ? "]:" : ":")
        text.appendDecimal(port)
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: localPort)
        buffer.append(integer: remotePort)
        buffer.append(integer: transport)
        buffer.append(integer: opened)
        buffer.append(integer: lastSeen)
        buffer.append(integer: txBytes)
        buffer.append(integer: rxBytes)
        for count in [window.events, window.txBytes, window.rxBytes] {
            buffer.append(integer: count)
        }
        for address in [local, remote] {
            buffer.append(integer: UInt32(address.count))
            buffer.append(address.buffer)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let localPort = try reader.integer(UInt32.self)
        let remotePort = try reader.integer(UInt32.self)
        let transport = try reader.integer(UInt8.self)
        let opened = try reader.integer(Int64.self)
        let lastSeen = try reader.integer(Int64.self)
        let txBytes = try reader.integer(UInt64.self)
        let rxBytes = try reader.integer(UInt64.self)
        let window = Traffic(
            events: try reader.integer(UInt64.self),
            txBytes: try reader.integer(UInt64.self),
            rxBytes: try reader.integer(UInt64.self)
        )
        let local = ByteView(try reader.counted())
        let remote = ByteView(try reader.counted())
        self.init(
            Key(
                local: NetworkEnd(address: local, port: localPort),
                remote: NetworkEnd(address: remote, port: remotePort),
                transport: transport
            ),
            time: opened
        )
        self.lastSeen = lastSeen
        self.txBytes = txBytes
        self.rxBytes = rxBytes
        self.window = window
    }
}
