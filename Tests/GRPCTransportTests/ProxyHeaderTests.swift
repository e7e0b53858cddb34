import Testing

@testable import GRPCTransport

/// Tests how the header of a proxy is read, version 2 of the PROXY protocol.
struct ProxyHeaderTests {
    private static let signature: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    private static let version4: [UInt8] = [10, 1, 2, 3, 127, 0, 0, 1, 0x12, 0x34, 0, 80]

    private func header(
        version: UInt8 = 0x21,
        family: UInt8 = 0x11,
        _ body: [UInt8],
        count: Int? = nil
    ) -> [UInt8] {
        let count = count ?? body.count
        return Self.signature + [version, family, UInt8(count >> 8), UInt8(count & 0xFF)] + body
    }

    private func tls(client: UInt8, verify: UInt8, _ name: [UInt8]) -> [UInt8] {
        let names: [UInt8] =
            [0x21, 0, 7] + Array("TLSv1.3".utf8) + [0x22, 0, UInt8(name.count)] + name
        let body = [client, 0, 0, 0, verify] + names
        return [0x20, 0, UInt8(body.count)] + body
    }

    private func parsed(_ bytes: [UInt8]) -> ProxyHeader? {
        guard case .header(let header) = ProxyHeader.parse(bytes[...]) else { return nil }
        return header
    }

    @Test func addressesAreInTheNotationOfGRPC() throws {
        let bytes = header(Self.version4)
        let read = try #require(parsed(bytes + Array("PRI * HTTP/2.0".utf8)))
        #expect(
            read
                == ProxyHeader(peer: "ipv4:10.1.2.3:4660", certificateName: nil, count: bytes.count)
        )
        for (address, text) in [
            ([0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1], "2001:db8::1"),
            ([UInt8](repeating: 0, count: 15) + [1], "::1"),
            ([UInt8](repeating: 0, count: 16), "::"),
            ([0xFE, 0x80] + [UInt8](repeating: 0, count: 13) + [0xA], "fe80::a"),
            ([0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4], "1:0:2::3:4"),
            ([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8], "1:2:3:4:5:6:7:8"),
        ] as [([UInt8], String)] {
            let body = address + [UInt8](repeating: 0, count: 16) + [0, 80, 0, 81]
            let peer = parsed(header(family: 0x21, body))?.peer
            #expect(peer == "ipv6:[\(text)]:80")
            #expect(peer.map(PeerAddress.host) == text)
        }
    }

    @Test func theNameIsThatOfAVerifiedCertificate() {
        let name = Array("web-3".utf8)
        func shown(client: UInt8, verify: UInt8, _ name: [UInt8]) -> String? {
            parsed(header(Self.version4 + tls(client: client, verify: verify, name)))?
                .certificateName
        }
        #expect(shown(client: 7, verify: 0, name) == "web-3")
        #expect(shown(client: 7, verify: 10, name) == nil, "not valid")
        #expect(shown(client: 1, verify: 0, name) == nil, "none shown")
        #expect(shown(client: 7, verify: 0, [0xFF]) == nil, "no UTF-8")
        let other: [UInt8] = [0x01, 0, 2] + Array("h2".utf8)
        let both = Self.version4 + other + tls(client: 7, verify: 0, name)
        #expect(parsed(header(both))?.certificateName == "web-3")
    }

    @Test func aConnectionOfTheProxysOwnHasNoClient() {
        #expect(
            parsed(header(version: 0x20, family: 0, []))
                == ProxyHeader(peer: nil, certificateName: nil, count: 16)
        )
    }

    @Test func everyBeginningIsPartial() {
        let bytes = header(Self.version4 + tls(client: 7, verify: 0, Array("web-3".utf8)))
        for count in 1..<bytes.count {
            guard case .partial(let needed) = ProxyHeader.parse(bytes[..<count]) else {
                Issue.record("\(count)")
                continue
            }
            #expect(needed == (count < 16 ? 16 : bytes.count))
        }
    }

    @Test func whatIsNoHeaderIsAbsentOrWrong() {
        for text in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n\r\nGET", "PROXY TCP4 1.2.3.4"] {
            #expect(ProxyHeader.parse(Array(text.utf8)[...]) == .absent)
        }
        #expect(ProxyHeader.parse([]) == .absent)
        for bytes in [
            header(version: 0x11, Self.version4), header(version: 0x22, Self.version4),
            header(family: 0x12, Self.version4), header(family: 0x31, Self.version4),
            header([1, 2, 3]), header(family: 0x21, Self.version4),
            header(Self.version4 + [0x20, 0, 9, 7]), header(Self.version4, count: 60_000),
        ] {
            #expect(ProxyHeader.parse(bytes[...]) == .wrong, "\(bytes)")
        }
    }

    /// Nothing that a trusted proxy could send by mistake traps.
    @Test func anyBytesAreRead() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...120, using: &generator)
            let rest = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let family: UInt8 = Bool.random(using: &generator) ? 0x11 : 0x21
            _ = ProxyHeader.parse(header(family: family, rest)[...])
            _ = ProxyHeader.parse((Self.signature + rest)[...])
        }
    }
}
