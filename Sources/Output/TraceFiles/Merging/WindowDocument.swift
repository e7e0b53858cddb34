/// A small file that is published together with a window's outputs.
package struct WindowDocument: Sendable, Equatable {
    /// Below the data directory; of safe names.
    package let path: String
    package let bytes: [UInt8]

    package init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }
}
