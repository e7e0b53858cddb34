import CChecksum
package import TraceModel

/// What stands at a position where a record is expected.
package enum RecordCheck: Equatable {
    /// A valid record of this many bytes.
    case valid(stride: Int)
    /// The bytes at hand end before the record does; it claims to need this many.
    case incomplete(needed: Int)
    /// No record of this log at this position: zeros, an older record, or damage.
    case invalid

    /// Checks lengths before it looks at anything behind the header, then the CRC.
    package static func check(
        _ bytes: UnsafeRawBufferPointer,
        at lsn: LSN,
        salt: UInt32
    ) -> RecordCheck {
        guard let base = bytes.baseAddress, bytes.count >= LogRecord.headerBytes else {
            return .incomplete(needed: LogRecord.headerBytes)
        }
        let record = LogRecord(base: base)
        guard
            UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)) == LogRecord.magic,
            base.load(fromByteOffset: 13, as: UInt8.self) == LogRecord.version,
            record.lsn == lsn, record.salt == salt, record.type != nil,
            record.payloadBytes <= Limits.logRecordBytesMax,
            record.hostBytes <= record.payloadBytes
        else { return .invalid }
        guard bytes.count >= record.stride else { return .incomplete(needed: record.stride) }
        guard crc(of: record) == record.crc else { return .invalid }
        return .valid(stride: record.stride)
    }

    /// CRC-32C over all of a record but its magic and the CRC itself.
    static func crc(of record: LogRecord) -> UInt32 {
        trace_crc32c(0, record.base + 8, LogRecord.headerBytes - 8 + record.payloadBytes)
    }
}
