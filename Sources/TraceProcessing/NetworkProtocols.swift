import SystemIO
import TraceModel

/// Bytes both ways by protocol of one process. Bounded: the last one of `Limits.protocolsPerProcessMax`
/// stands for all others.
struct NetworkProtocols: ~Copyable {
    struct Traffic: ~Copyable {
        let name: OwnedName
        /// Modulo 2⁶⁴.
        var txBytes: UInt64 = 0
        var rxBytes: UInt64 = 0

        init(name: ByteView) { self.name = OwnedName(name) }
    }

    private var protocols: [UnsafeMutablePointer<Traffic>] = []

    var count: Int { protocols.count }

    init() {}

    deinit {
        for place in protocols {
            place.deinitialize(count: 1)
            place.deallocate()
        }
    }

    /// Adds to a protocol's bytes; returns its number, which stays the same.
    @inline(__always)
    mutating func add(_ bytes: UInt64, isSend: Bool, of name: ByteView) -> UInt8 {
        let position = position(of: name)
        if isSend {
            protocols[position].pointee.txBytes &+= bytes
        } else {
            protocols[position].pointee.rxBytes &+= bytes
        }
        return UInt8(position)
    }

    /// Nil where it is not known.
    @inline(__always)
    func known(_ name: ByteView) -> Int? {
        // A process has one or two.
        for position in 0..<count where protocols[position].pointee.name.equals(name) {
            return position
        }
        return nil
    }

    @inline(__always)
    private mutating func position(of name: ByteView) -> Int {
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
    }

    /// The protocol of a number that `add` returned; valid as long as this lives.
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
            append(traffic)
        }
    }
}
