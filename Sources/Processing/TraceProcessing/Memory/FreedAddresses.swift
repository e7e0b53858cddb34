import SystemIO
import TraceModel

/// A sample of the addresses that a process has freed recently: one for each remainder modulo 64.
struct FreedAddresses {
    private static let size = 64

    /// Empty until the first address; 0 means none.
    private var addresses: [UInt64] = []

    init() {}

    @inline(__always) private func cell(_ address: UInt64) -> Int {
        Int(StableHash.mix(address ^ 0x9E37_79B9_7F4A_7C15) % UInt64(Self.size))
    }

    @inline(__always) mutating func insert(_ address: UInt64) {
        if addresses.isEmpty { addresses = [UInt64](repeating: 0, count: Self.size) }
        addresses[cell(address)] = address
    }

    @inline(__always) mutating func remove(_ address: UInt64) {
        if contains(address) { addresses[cell(address)] = 0 }
    }

    @inline(__always) func contains(_ address: UInt64) -> Bool {
        !addresses.isEmpty && address != 0 && addresses[cell(address)] == address
    }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: UInt8(addresses.count))
        for address in addresses { buffer.append(integer: address) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let count = Int(try reader.integer(UInt8.self))
        guard count == 0 || count == Self.size else {
            throw TraceError(.corrupt, "Stored state has \(count) released addresses")
        }
        for _ in 0..<count { addresses.append(try reader.integer(UInt64.self)) }
    }
}
