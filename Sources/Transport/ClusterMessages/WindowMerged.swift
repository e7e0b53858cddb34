internal import CTraceProtos
package import TraceModel

/// Aggregator to worker and router: a resource's window is in its final files, or can't be.
package struct WindowMerged: Sendable, Equatable {
    package var resource: Resource
    package var window: UInt64
    /// The final files, relative to the data directory.
    package var files: [String]
    /// Why it couldn't be merged; nil where it was.
    package var failure: String?

    package init(resource: Resource, window: UInt64, files: [String], failure: String? = nil) {
        self.resource = resource
        self.window = window
        self.files = files
        self.failure = failure
    }
}

extension WindowMerged: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__WindowMerged

    static var unpack: Unpack { unsafe trace_processor__cluster__window_merged__unpack }
    static var free: Free { unsafe trace_processor__cluster__window_merged__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        resource = unsafe try readResource(wire.resource)
        window = unsafe wire.window
        files = unsafe try readTexts(wire.n_files, wire.files)
        let text = unsafe try readText(wire.failure)
        failure = text.isEmpty ? nil : text
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__window_merged__init(&wire)
        unsafe wire.resource = arena.text(resource.name)
        unsafe wire.window = window
        unsafe wire.n_files = files.count
        unsafe wire.files = arena.texts(files)
        unsafe wire.failure = arena.text(failure ?? "")
        return unsafe wire
    }
}
