import SystemIO
import TraceModel

/// Latencies of one process on one device, by operation.
struct IODevice: NamedEntry, ~Copyable {
    private let ownedName: OwnedName
    private(set) var latencies = InlineArray<3, IOLatency>(repeating: IOLatency())

    init(name: ByteView) { ownedName = OwnedName(name) }

    var name: ByteView { ownedName.view }

    @inline(__always) mutating func record(_ operation: IOOperation, milliseconds: Double) {
        latencies[operation.rawValue].record(milliseconds: milliseconds)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        for index in latencies.indices { latencies[index].encode(into: &buffer) }
        ownedName.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        var latencies = InlineArray<3, IOLatency>(repeating: IOLatency())
        for index in latencies.indices { latencies[index] = try IOLatency(decoding: &reader) }
        ownedName = try OwnedName(decoding: &reader)
        self.latencies = latencies
    }
}
