import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

/// What passed between two endpoints of one protocol, as the process's agent names them.
struct NetworkConnection: ~Copyable {
    /// How events name a connection; borrowed.
    struct Key {
        let source: ByteView
        let destination: ByteView
        let sourcePort: UInt32
        let destinationPort: UInt32
        /// The protocol's number in `NetworkProtocols`.
        let transport: UInt8

        @inline(__always)
        var hash: UInt64 {
            let ports = UInt64(sourcePort) << 32 | UInt64(destinationPort)
            let ends = NameHash.of(source) ^ NameHash.mix(NameHash.of(destination) &+ 1)
            return NameHash.mix(ends ^ NameHash.mix(ports ^ UInt64(transport) << 56 ^ 0x5851_F42D))
        }
    }

    /// What passed in the open window.
    struct Traffic: BitwiseCopyable {
        var events: UInt64 = 0
        var txBytes: UInt64 = 0
        var rxBytes: UInt64 = 0
    }

    private let source: OwnedName
    private let destination: OwnedName
    let sourcePort: UInt32
    let destinationPort: UInt32
    let transport: UInt8
    private(set) var opened: EpochNanoseconds
    private(set) var lastSeen: EpochNanoseconds
    /// Modulo 2⁶⁴.
    private(set) var txBytes: UInt64 = 0
    private(set) var rxBytes: UInt64 = 0
    private var window = Traffic()

    init(_ key: Key, time: EpochNanoseconds) {
        source = OwnedName(key.source)
        destination = OwnedName(key.destination)
        sourcePort = key.sourcePort
        destinationPort = key.destinationPort
        transport = key.transport
        opened = time
        lastSeen = time
    }

    /// Valid as long as this lives.
    var key: Key {
        Key(
            source: source.view,
            destination: destination.view,
            sourcePort: sourcePort,
            destinationPort: destinationPort,
            transport: transport
        )
    }

    @inline(__always)
    borrowing func matches(_ key: Key) -> Bool {
        sourcePort == key.sourcePort && destinationPort == key.destinationPort
            && transport == key.transport && source.equals(key.source)
            && destination.equals(key.destination)
    }

    @inline(__always)
    mutating func add(_ bytes: UInt64, isSend: Bool, at time: EpochNanoseconds) {
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

    var hasWindow: Bool { window.events > 0 }

    /// What passed in it, which begins anew.
    mutating func takeWindow() -> Traffic {
        defer { window = Traffic() }
        return window
    }

    /// Appends `10.0.0.1:40000 -> [fe80::2]:443 TCP`.
    borrowing func appendName(transport: ByteView, to text: inout RawBuffer) {
        Self.append(source.view, sourcePort, to: &text)
        text.append(" -> ")
        Self.append(destination.view, destinationPort, to: &text)
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
        buffer.append(integer: sourcePort)
        buffer.append(integer: destinationPort)
        buffer.append(integer: transport)
        buffer.append(integer: opened)
        buffer.append(integer: lastSeen)
        buffer.append(integer: txBytes)
        buffer.append(integer: rxBytes)
        for count in [window.events, window.txBytes, window.rxBytes] {
            buffer.append(integer: count)
        }
        source.encode(into: &buffer)
        destination.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let sourcePort = try reader.integer(UInt32.self)
        let destinationPort = try reader.integer(UInt32.self)
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
        let sourceCount = Int(try reader.integer(UInt32.self))
        let source = ByteView(try reader.bytes(sourceCount))
        let destinationCount = Int(try reader.integer(UInt32.self))
        let destination = ByteView(try reader.bytes(destinationCount))
        self.init(
            Key(
                source: source,
                destination: destination,
                sourcePort: sourcePort,
                destinationPort: destinationPort,
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
