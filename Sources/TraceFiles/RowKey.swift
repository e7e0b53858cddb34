import TraceModel

/// Where a rendered row stands in its buffer, and what it is sorted by.
struct RowKey {
    let ts: EpochNanoseconds
    let pid: UInt32
    let host: UInt16
    /// Byte offset in the arena. Rows are appended, so it is also the order of arrival.
    var offset: UInt32
    let length: UInt32

    init(ts: EpochNanoseconds, pid: UInt32, host: UInt16, offset: UInt32, length: UInt32) {
        self.ts = ts
        self.pid = pid
        self.host = host
        self.offset = offset
        self.length = length
    }
}
