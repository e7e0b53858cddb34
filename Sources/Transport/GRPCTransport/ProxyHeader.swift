/// What a proxy says of its client at the beginning of a connection: version 2 of the PROXY protocol
/// (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt), as HAProxy sends it with `send-proxy-v2-ssl-cn`.
struct ProxyHeader: Equatable {
    /// The client's address in gRPC's notation; nil for a connection of the proxy's own, such as a health check.
    let peer: String?
    /// The common name of the client's certificate; nil if the client has shown none that the proxy could verify.
    let certificateName: String?
    /// Length of the header.
    let count: Int

    /// The result of parsing the beginning of a connection.
    enum Parsed: Equatable {
        case header(ProxyHeader)
        /// More bytes are needed, `count` of them in all.
        case partial(count: Int)
        /// The connection does not begin with a header.
        case absent
        /// The header is not valid, or longer than `countMax`.
        case wrong
    }

    /// Far more than addresses, a name and what else HAProxy adds.
    static let countMax = 1_024
    private static let signature = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    private static let fixedCount = 16

    /// Types of extensions (TLV), and the bit that says that the client has shown a certificate on this connection.
    private static let tlsType: UInt8 = 0x20
    private static let commonNameType: UInt8 = 0x22
    private static let certificateBit: UInt8 = 0x02

    /// Parses the first bytes of a connection.
    static func parse(_ bytes: ArraySlice<UInt8>) -> Parsed {
        let known = bytes.prefix(signature.count)
        guard !known.isEmpty, signature.starts(with: known) else { return .absent }
        guard bytes.count >= fixedCount else { return .partial(count: fixedCount) }
        let start = bytes.startIndex
        let (version, family) = (bytes[start + 12], bytes[start + 13])
        let count = fixedCount + Int(bytes[start + 14]) << 8 + Int(bytes[start + 15])
        guard version >> 4 == 2, count <= countMax else { return .wrong }
        guard bytes.count >= count else { return .partial(count: count) }
        let body = bytes[(start + fixedCount)..<(start + count)]
        switch version & 0x0F {
        case 0: return .header(ProxyHeader(peer: nil, certificateName: nil, count: count))
        case 1: break
        default: return .wrong
        }
        let addressCount: Int
        let peer: String
        switch family {
        case 0x11:
            addressCount = 12
            guard body.count >= addressCount else { return .wrong }
            peer = "ipv4:" + body.prefix(4).map { "\($0)" }.joined(separator: ".")
        case 0x21:
            addressCount = 36
            guard body.count >= addressCount else { return .wrong }
            peer = "ipv6:[\(address6(Array(body.prefix(16))))]"
        default: return .wrong
        }
        let portAt = body.startIndex + addressCount - 4
        let port = Int(body[portAt]) << 8 + Int(body[portAt + 1])
        var name: String?
        guard
            forEachExtension(
                in: body.dropFirst(addressCount),
                { type, value in
                    if type == tlsType { name = certificateName(in: value) }
                }
            )
        else { return .wrong }
        return .header(ProxyHeader(peer: "\(peer):\(port)", certificateName: name, count: count))
    }

    /// Returns the name in the extension about TLS: flags, the result of verification, and extensions of its own.
    private static func certificateName(in value: ArraySlice<UInt8>) -> String? {
        guard value.count >= 5, value[value.startIndex] & certificateBit != 0,
            value.dropFirst().prefix(4).allSatisfy({ $0 == 0 })
        else { return nil }
        var name: String?
        let isWhole = forEachExtension(in: value.dropFirst(5)) { type, value in
            if type == commonNameType { name = String(validating: value, as: UTF8.self) }
        }
        return isWhole ? name : nil
    }

    /// Calls `body` with each extension: type (1 byte), length (2 bytes), value. Returns false where one is cut off.
    private static func forEachExtension(
        in bytes: ArraySlice<UInt8>,
        _ body: (UInt8, ArraySlice<UInt8>) -> Void
    ) -> Bool {
        var rest = bytes
        while let type = rest.popFirst() {
            guard let high = rest.popFirst(), let low = rest.popFirst() else { return false }
            let count = Int(high) << 8 + Int(low)
            guard rest.count >= count else { return false }
            body(type, rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Returns an IPv6 address in the text form of RFC 5952.
    private static func address6(_ bytes: [UInt8]) -> String {
        let groups = stride(from: 0, to: 16, by: 2).map { Int(bytes[$0]) << 8 + Int(bytes[$0 + 1]) }
        // The longest run of at least two zero groups is left out; of equal ones the first.
        var longest = 0..<0
        var index = 0
        while index < groups.count {
            let end = groups[index...].firstIndex { $0 != 0 } ?? groups.count
            if end - index > max(longest.count, 1) { longest = index..<end }
            index = max(end, index + 1)
        }
        func text(_ groups: ArraySlice<Int>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if longest.isEmpty { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}
