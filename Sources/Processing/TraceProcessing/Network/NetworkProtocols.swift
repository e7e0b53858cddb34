import SystemIO
import TraceModel
import TraceSummaries

/// Bytes and packets of one process by protocol and direction. Bounded: the last of `Limits.protocolsPerProcessMax`
/// entries stands for all further protocols.
struct NetworkProtocols: ~Copyable {
    /// Packets by direction.
    struct Packets: BitwiseCopyable {
        var tx: UInt64 = 0
        var rx: UInt64 = 0
    }

    /// The traffic in the open window.
    struct Window: BitwiseCopyable {
        var events: UInt64 = 0
        var txBytes: UInt64 = 0
        var rxBytes: UInt64 = 0
        var packets = Packets()
    }

    /// The traffic of one protocol.
    struct Traffic: ~Copyable {
        let name: OwnedName
        fileprivate(set) var window = Window()
        /// Totals modulo 2⁶⁴.
        var txBytes: UInt64 = 0
        var rxBytes: UInt64 = 0

        init(name: ByteView) { self.name = OwnedName(name) }

        @inline(__always) fileprivate mutating func add(
            _ bytes: UInt64,
            _ packets: Packets,
            isSend: Bool
        ) {
            window.events += 1
            if isSend {
                txBytes &+= bytes
                window.txBytes = SummaryValues.sum(window.txBytes, bytes)
            } else {
                rxBytes &+= bytes
                window.rxBytes = SummaryValues.sum(window.rxBytes, bytes)
            }
            window.packets.tx = SummaryValues.sum(window.packets.tx, packets.tx)
            window.packets.rx = SummaryValues.sum(window.packets.rx, packets.rx)
        }
    }

    private var protocols: [UnsafeMutablePointer<Traffic>] = []
    /// The bytes that the slot's budget is charged with for the protocols.
    private(set) var stateBytes = 0

    var count: Int { protocols.count }

    init() {}

    deinit {
        for place in protocols {
            place.deinitialize(count: 1)
            place.deallocate()
        }
    }

    /// Adds an event's bytes, and the packets by which its process's counters have grown, to its protocol. Returns
    /// the protocol's number, which never changes.
    @inline(__always) mutating func add(
        _ bytes: UInt64,
        _ packets: Packets,
        isSend: Bool,
        of name: ByteView
    ) -> UInt8 {
        let position = position(of: name)
        protocols[position].pointee.add(bytes, packets, isSend: isSend)
        return UInt8(position)
    }

    /// Moves each protocol's traffic in the open window to the process's activity.
    func tellWindow(to activity: UnsafeMutablePointer<WindowActivity>) {
        for place in protocols where place.pointee.window.events > 0 {
            activity.pointee.talked(by: place.pointee.name.view, place.pointee.window)
            place.pointee.window = Window()
        }
    }

    /// Returns a protocol's number; nil if it is not known.
    @inline(__always) func known(_ name: ByteView) -> Int? {
        // A linear search, as a process has one or two protocols.
        for position in 0..<count where protocols[position].pointee.name.equals(name) {
            return position
        }
        return nil
    }

    @inline(__always) private mutating func position(of name: ByteView) -> Int {
        if let known = known(name) { return known }
        guard count < Limits.protocolsPerProcessMax - 1 else {
            if count < Limits.protocolsPerProcessMax { append(Traffic(name: ByteView("other"))) }
            return count - 1
        }
        append(Traffic(name: name))
        return count - 1
    }

    private mutating func append(_ traffic: consuming Traffic) {
        let place = UnsafeMutablePointer<Traffic>.allocate(capacity: 1)
        place.initialize(to: traffic)
        protocols.append(place)
        stateBytes +=
            MemoryLayout<Traffic>.stride + StateCost.allocation
            + StateCost.name(place.pointee.name.view.count)
    }

    /// Returns the name of a number that `add` returned; valid as long as this value lives.
    func name(of number: UInt8) -> ByteView { protocols[Int(number)].pointee.name.view }

    borrowing func forEach(_ visit: (borrowing Traffic) -> Void) {
        for place in protocols { visit(place.pointee) }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        for place in protocols {
            buffer.append(integer: place.pointee.txBytes)
            buffer.append(integer: place.pointee.rxBytes)
            place.pointee.name.encode(into: &buffer)
            let window = place.pointee.window
            buffer.append(varint: window.events)
            buffer.append(varint: window.txBytes)
            buffer.append(varint: window.rxBytes)
            buffer.append(varint: window.packets.tx)
            buffer.append(varint: window.packets.rx)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let txBytes = try reader.integer(UInt64.self)
            let rxBytes = try reader.integer(UInt64.self)
            let length = Int(try reader.integer(UInt32.self))
            var traffic = Traffic(name: ByteView(try reader.bytes(length)))
            traffic.txBytes = txBytes
            traffic.rxBytes = rxBytes
            if reader.version > StateVersion.beforeDialects {
                traffic.window.events = try reader.varint()
                traffic.window.txBytes = try reader.varint()
                traffic.window.rxBytes = try reader.varint()
                traffic.window.packets.tx = try reader.varint()
                traffic.window.packets.rx = try reader.varint()
            }
            append(traffic)
        }
    }
}
