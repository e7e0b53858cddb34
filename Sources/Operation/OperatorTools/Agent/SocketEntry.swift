import Glibc

/// One line of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
package struct SocketEntry: Equatable, Sendable {
    package let inode: UInt64
    package let sourceAddress: String
    package let sourcePort: UInt32
    package let destinationAddress: String
    /// 0: nobody at the other end, a listening socket.
    package let destinationPort: UInt32
    package let state: UInt64

    package var isListening: Bool { destinationPort == 0 }
    /// TCP_ESTABLISHED, which a connected UDP socket has too.
    package var isEstablished: Bool { state == 1 }

    /// Every socket of a table that belongs to a process.
    package static func parse(_ table: [UInt8]) -> [SocketEntry] {
        var lines = FieldScanner(table)
        _ = lines.line()
        var entries: [SocketEntry] = []
        while let line = lines.line() {
            if let entry = SocketEntry(line) { entries.append(entry) }
        }
        return entries
    }

    /// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
    private init?(_ line: FieldScanner) {
        var line = line
        guard line.skip(1) != nil, let source = line.word(), let destination = line.word(),
            let state = line.word(), line.skip(5) != nil, let inode = line.number(), inode != 0,
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

    /// `0100007F:1F90`: words of 32 bits in this machine's order, then the port.
    private static func endpoint(_ text: ArraySlice<UInt8>) -> (String, UInt32)? {
        let parts = text.split(separator: UInt8(ascii: ":"))
        guard parts.count == 2, let port = hex(parts[1]) else { return nil }
        var bytes: [UInt8] = []
        var digits = parts[0]
        while digits.count >= 8 {
            guard let word = hex(digits.prefix(8)) else { return nil }
            withUnsafeBytes(of: word) { bytes.append(contentsOf: $0) }
            digits = digits.dropFirst(8)
        }
        guard digits.isEmpty, bytes.count == 4 || bytes.count == 16 else { return nil }
        var name = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &name, socklen_t(name.count)) != nil else { return nil }
        let ascii = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        return (String(decoding: ascii, as: UTF8.self), port)
    }

    private static func hex(_ digits: ArraySlice<UInt8>) -> UInt32? {
        UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
