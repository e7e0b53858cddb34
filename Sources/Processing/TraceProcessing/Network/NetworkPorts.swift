import SystemIO
import TraceModel

/// The ports that a process listens on, as sent: 70,000 is accepted too. Bounded: beyond
/// `Limits.listeningPortsPerProcessMax`, further ports are only counted.
struct NetworkPorts: ~Copyable {
    private var ports: [UInt32] = []
    private var index = IndexTable()

    var count: Int { ports.count }

    @inline(__always) var stateBytes: Int { ports.count &* (StateCost.index + 8) }

    init() {}

    @inline(__always) mutating func insert(_ port: UInt32, _ context: EventContext) {
        if !contains(port) { add(port, context) }
    }

    @inline(__always) func contains(_ port: UInt32) -> Bool {
        let known = ports.withUnsafeBufferPointer { ports in
            index.find(NameHash.mix(UInt64(port))) { ports[$0] == port }
        }
        return known != nil
    }

    private mutating func add(_ port: UInt32, _ context: EventContext) {
        guard count < Limits.listeningPortsPerProcessMax else {
            context.totals.pointee.connectionsEvicted += 1
            return
        }
        append(port)
    }

    private mutating func append(_ port: UInt32) {
        index.insert(NameHash.mix(UInt64(port)), position: count)
        ports.append(port)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(count))
        for port in ports { buffer.append(integer: port) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) { append(try reader.integer(UInt32.self)) }
    }
}
