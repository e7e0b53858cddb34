/// The records of a run of bytes known to be whole and valid: a sealed group, or what a reader returned.
package struct LogRecords: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer

    package init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    package mutating func next() -> LogRecord? {
        guard let base = rest.baseAddress, rest.count >= LogRecord.headerBytes else { return nil }
        let record = LogRecord(base: base)
        precondition(record.stride <= rest.count)
        rest = UnsafeRawBufferPointer(rebasing: rest[record.stride...])
        return record
    }
}
