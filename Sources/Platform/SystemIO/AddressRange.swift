import Glibc

/// A range of IP addresses: `10.0.0.5`, `10.0.0.0/8`, `::1`, `fd00::/8`.
package struct AddressRange: Sendable, Equatable, CustomStringConvertible {
    package let description: String
    /// Network byte order, 4 or 16 bytes.
    private let network: [UInt8]
    private let prefixBits: Int

    /// Parses a range; nil for anything else. Names are not resolved.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let bytes = Self.bytes(of: String(parts[0])) else {
            return nil
        }
        let bitsMax = bytes.count * 8
        guard let bits = parts.count == 2 ? Int(parts[1]) : bitsMax, (0...bitsMax).contains(bits)
        else { return nil }
        description = text
        network = bytes
        prefixBits = bits
    }

    /// Parses ranges separated by commas; nil if one is invalid or there is none.
    package static func list(_ text: String) -> [AddressRange]? {
        let ranges = text.split(separator: ",", omittingEmptySubsequences: false).map {
            AddressRange(String($0))
        }
        return ranges.contains { $0 == nil } ? nil : ranges.compactMap { $0 }
    }

    /// Returns whether the address, without a port, is in the range.
    package func contains(_ address: String) -> Bool {
        guard let bytes = Self.bytes(of: address), bytes.count == network.count else {
            return false
        }
        let whole = prefixBits / 8
        guard bytes[..<whole] == network[..<whole] else { return false }
        let rest = prefixBits % 8
        return rest == 0 || (bytes[whole] ^ network[whole]) >> UInt8(8 - rest) == 0
    }

    private static func bytes(of address: String) -> [UInt8]? {
        let isVersion6 = address.contains(":")
        var bytes = [UInt8](repeating: 0, count: isVersion6 ? 16 : 4)
        let code = unsafe bytes.withUnsafeMutableBytes {
            unsafe inet_pton(isVersion6 ? AF_INET6 : AF_INET, address, $0.baseAddress)
        }
        return code == 1 ? bytes : nil
    }
}
