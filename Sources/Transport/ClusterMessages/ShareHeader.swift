internal import CTraceProtos
package import TraceModel

/// Router to worker: the head of a share. The records follow as the next frame.
package struct ShareHeader: Sendable, Equatable {
    package var fromLSN: LSN
    /// Behind the last record of the commit group, so where the next share begins.
    package var toLSN: LSN
    /// The log's durable end: the receiver's lag is the difference.
    package var headLSN: LSN

    package init(fromLSN: LSN, toLSN: LSN, headLSN: LSN) {
        self.fromLSN = fromLSN
        self.toLSN = toLSN
        self.headLSN = headLSN
    }
}

extension ShareHeader: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__ShareHeader

    static var unpack: Unpack { unsafe trace_processor__cluster__share_header__unpack }
    static var free: Free { unsafe trace_processor__cluster__share_header__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        fromLSN = unsafe wire.from_lsn
        toLSN = unsafe wire.to_lsn
        headLSN = unsafe wire.head_lsn
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__share_header__init(&wire)
        unsafe wire.from_lsn = fromLSN
        unsafe wire.to_lsn = toLSN
        unsafe wire.head_lsn = headLSN
        return unsafe wire
    }
}
