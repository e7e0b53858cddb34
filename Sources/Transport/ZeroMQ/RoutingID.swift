/// The name by which a router socket addresses a peer, chosen by the peer.
///
/// libzmq ignores a second peer of the same name without a word, so a name must be one incarnation's
/// own: `function.3.e17`.
package struct RoutingID: Hashable, Sendable, CustomStringConvertible {
    package let bytes: [UInt8]

    /// 1 to 255 bytes that don't begin with NUL (those names are libzmq's); nil otherwise.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let first = bytes.first, first != 0, bytes.count <= 255 else { return nil }
        self.bytes = Array(bytes)
    }

    /// The UTF-8 of a text, under the same rule.
    package init?(_ text: String) { self.init(text.utf8) }

    /// What a message says of its sender: always a name, also one that libzmq made.
    init(ofReceived bytes: UnsafeRawBufferPointer) { unsafe self.bytes = Array(bytes) }

    package var description: String { String(decoding: bytes, as: UTF8.self) }
}
