package import HTTPTypes
internal import NIOCore
internal import Synchronization

/// The bytes of a reply, in memory once however many replies carry them: connections send slices of it.
package final class SharedBody: Sendable {
    private static let count = Atomic<UInt64>(0)

    let buffer: ByteBuffer
    /// Greater than that of every body made before.
    let serial = SharedBody.count.add(1, ordering: .relaxed).newValue

    /// Copies the bytes.
    package init(_ bytes: some Sequence<UInt8>) { buffer = ByteBuffer(bytes: bytes) }

    /// The bytes are valid during the call.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let result = buffer.withUnsafeReadableBytes { bytes in
            Swift.Result { () throws(Failure) -> Result in try body(bytes) }
        }
        return try result.get()
    }
}

/// An answer to a request. `HTTPServer` adds `Content-Length` and `Connection`.
package struct HTTPReply: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: SharedBody

    package init(status: HTTPResponse.Status, headers: HTTPFields, body: SharedBody) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}
