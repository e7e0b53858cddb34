package import TraceModel

/// An event decoded in place: trivial in memory, its strings are views into the batch it came in.
package protocol WireEvent {
    static var resource: Resource { get }

    /// As sent, empty where the time of arrival stands in.
    var timestamp: ByteView { get }
    /// The process: the thread's id where the agent sets no process id.
    var processID: UInt32 { get }
    var threadID: UInt32 { get }

    /// Decodes what `BatchScanner` accepted; from anything else it takes what stands before the damage. `limit`: up
    /// to where bytes can be read, beyond the payload's end as a rule; nil where that is unknown.
    init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?)
}

extension WireEvent {
    package init(decoding payload: ByteView) {
        unsafe self.init(decoding: payload, readableUntil: nil)
    }
}
