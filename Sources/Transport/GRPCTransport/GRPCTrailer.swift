/// One element of metadata sent after an answer. The name is lower case; one that ends in `-bin` may
/// carry any bytes. An answer takes at most four.
package struct GRPCTrailer: Sendable, Equatable {
    package static let countMax = 4

    package let name: String
    package let bytes: [UInt8]

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }
}
