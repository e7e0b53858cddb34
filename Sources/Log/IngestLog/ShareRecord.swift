package import SystemIO
package import TraceModel

/// A log record as sent to a worker: reduced to the events of the slots that it owns. A share is a sequence of these; a
/// worker that reads them in LSN order reads its part of the log.
///
/// Layout, little-endian: LSN u64, arrival i64, body bytes u32, type u8, semantics u8, host bytes u16, host, body,
/// zeros to a multiple of 8. The body of a batch is a valid `TraceBatch` of the selected events and names, each with
/// the tag, length and bytes it was received with.
@safe
package struct ShareRecord {
    package static let headerBytes = 24

    private let base: UnsafeRawPointer

    package var lsn: LSN { load(0, as: UInt64.self) }
    package var arrival: EpochNanoseconds { load(8, as: Int64.self) }
    package var type: LogRecordType? { LogRecordType(rawValue: load(20, as: UInt8.self)) }
    /// Meaning of a batch's fields.
    package var semantics: Semantics {
        Semantics(rawValue: load(21, as: UInt8.self)) ?? .cumulative
    }
    private var bodyBytes: Int { Int(load(16, as: UInt32.self)) }
    private var hostBytes: Int { Int(load(22, as: UInt16.self)) }

    package var host: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base + ShareRecord.headerBytes, count: hostBytes)
    }

    package var body: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: base + ShareRecord.headerBytes + hostBytes,
            count: bodyBytes
        )
    }

    private static func stride(host: Int, body: Int) -> Int { (headerBytes + host + body + 7) & ~7 }

    private func load<Integer: FixedWidthInteger>(_ offset: Int, as: Integer.Type) -> Integer {
        unsafe Integer(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }

    /// Appends the head of a record and returns the address for its `bodyBytes` of body. The address is valid until the
    /// next append to `buffer`.
    package static func append(
        _ record: LogRecord,
        bodyBytes: Int,
        to buffer: inout RawBuffer
    ) -> UnsafeMutableRawPointer {
        let host = unsafe record.host
        let stride = stride(host: host.count, body: bodyBytes)
        let base = unsafe buffer.reserve(stride)
        buffer.commit(stride)
        unsafe (base + stride - 8).storeBytes(of: 0, as: UInt64.self)
        unsafe base.storeBytes(of: record.lsn.littleEndian, as: UInt64.self)
        unsafe base.storeBytes(of: record.arrival.littleEndian, toByteOffset: 8, as: Int64.self)
        unsafe base.storeBytes(
            of: UInt32(bodyBytes).littleEndian,
            toByteOffset: 16,
            as: UInt32.self
        )
        unsafe base.storeBytes(of: record.type?.rawValue ?? 0, toByteOffset: 20, as: UInt8.self)
        unsafe base.storeBytes(of: record.semantics.rawValue, toByteOffset: 21, as: UInt8.self)
        unsafe base.storeBytes(
            of: UInt16(host.count).littleEndian,
            toByteOffset: 22,
            as: UInt16.self
        )
        let body = unsafe base + headerBytes + host.count
        if let start = host.baseAddress {
            unsafe (base + headerBytes).copyMemory(from: start, byteCount: host.count)
        }
        return unsafe body
    }

    /// Calls `visit` for the records of a share.
    /// - Throws: `TraceError(.corrupt)` if it is truncated or LSNs do not ascend; any error of `visit`.
    package static func forEach(
        in share: UnsafeRawBufferPointer,
        _ visit: (ShareRecord) throws -> Void
    ) throws {
        var records = unsafe ShareRecords(share)
        while let record = try records.next() { try visit(record) }
    }

    /// Reads the record at `offset` of a share, and moves the offset behind it.
    fileprivate init(in share: UnsafeRawBufferPointer, at offset: inout Int) throws(TraceError) {
        guard let start = share.baseAddress, share.count - offset >= Self.headerBytes else {
            throw TraceError(.corrupt, "A share ends inside a record's head")
        }
        unsafe base = start + offset
        let stride = Self.stride(host: hostBytes, body: bodyBytes)
        guard share.count - offset >= stride else {
            throw TraceError(.corrupt, "A share's record at LSN \(lsn) is damaged")
        }
        offset += stride
    }
}

/// The records of a share, in their order. Every length is checked, because a share comes from another process.
@safe
package struct ShareRecords {
    private let share: UnsafeRawBufferPointer
    private var offset = 0
    private var last: LSN?

    /// Reads `share`, which must stay valid while its records are used.
    package init(_ share: UnsafeRawBufferPointer) { unsafe self.share = share }

    /// Returns the next record; nil at the share's end.
    /// - Throws: `TraceError(.corrupt)` if the share is truncated or LSNs do not ascend.
    package mutating func next() throws(TraceError) -> ShareRecord? {
        guard unsafe offset < share.count else { return nil }
        let record = try unsafe ShareRecord(in: share, at: &offset)
        guard last.map({ $0 < record.lsn }) ?? true else {
            throw TraceError(.corrupt, "A share's record at LSN \(record.lsn) is damaged")
        }
        last = record.lsn
        return record
    }
}
