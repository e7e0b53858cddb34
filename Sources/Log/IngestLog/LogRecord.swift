import CChecksum
package import TraceModel

// The ingest log
// ==============
//
// A logically endless sequence of bytes, addressed by LSN (byte offset, first record at 0), stored in files `log/<base,
// 20 digits>.log`. The file with base B contains the records from LSN B on, at file offset LSN − B; it ends where the
// file with the next base starts. A record never spans two files. Files are removed from the oldest on, so the log
// starts at the smallest existing base. Files with other names in `log/` do not belong to it.
//
// Record (little-endian, starts at a multiple of 8):
//
//   offset size
//        0    4  magic: the bytes "TRL1"
//        4    4  CRC-32C (Castagnoli: reflected polynomial 0x82F63B78, initial and final XOR 0xFFFFFFFF)
//                over bytes 8 ..< 128 + length
//        8    4  length of the payload in bytes, host included, without padding; at most
//                `Limits.logRecordBytesMax`
//       12    1  type (`LogRecordType`)
//       13    1  version of this format: 1
//       14    2  length of the host, the payload's last bytes; 0 except in a batch
//       16    8  LSN of this record
//       24    4  CRC of the record before it (its bytes 4 ..< 8), also across files; 0 for a log's first
//       28    4  salt: the log's identity, generated when it was created; `salt=` in the data directory's
//                `manifest`, in decimal
//       32    8  arrival, ns since the epoch
//       40    8  durable LSN: everything below it was on the disk when this was written
//       48   48  accepted events so far, this record included, by resource in the order function, cpu,
//                memory, network, io, gpu (6 × u64)
//       96    8  deduplicated events so far
//      104    8  rejected events so far
//      112    8  dead-lettered events so far
//      120    1  in a batch, the meaning of its fields (`Semantics`); 0 in records of versions before 0.2, which
//                treated every batch as CUMULATIVE
//      121    3  reserved, 0
//      124    4  in a file's head, the original size of the file in bytes; 0 in heads of versions before 0.2
//      128    …  payload, then zeros to a multiple of 8
//
// Reading: at position P (initially the smallest base) open the file with base P if there is one, else continue in the
// current file. A valid record at P has the magic, version 1, a known type, LSN P, the manifest's salt, lengths within
// limits, a matching CRC, and names its predecessor's CRC if that was read. The next record is at P + (128 + length,
// rounded up to a multiple of 8).
//
// A record larger than `Limits.smallMessageBytesMax` usually has a file of its own (`AheadFile`): the file is written
// as `log/ahead.<n>` without its head and the record's header, synced, completed once its base is known, and renamed.
// Such a file with a valid head, whose base no other file has, belongs to the log also under this name. Its head is
// padded with zeros up to the record. The file before it is truncated to the end of its last record.
//
// Files are preallocated, zeroed once, and recycled: after the last record of a file there are zeros or an older
// record, whose LSN does not match its position. After every start the writer begins a new file at the recovered end,
// so an incomplete write is never overwritten. The first record of each file is a head, and heads occur nowhere else. A
// file gets its size before its name: one that is shorter than recorded in its head, or that ends within its head or a
// record, was cut, and its contents are lost.
//
// Loss: if a file was cut, or the log ends below the LSN in `checkpoints/router.end` (`LogEnd`) or in a worker's
// checkpoint, nothing is written before the operator has accepted the loss. The log then continues in a new file, at an
// LSN above all those known to have been assigned, and a damage record describes the gap; the counts continue from
// those recorded beside the log.
//
// Damage: if there is no valid record at P, the log continues at the next valid record R, in this file or a later one,
// that is known to have been durable: R itself, or a valid record after it, has a durable LSN that is greater than P,
// and if it is another record's, not below R's end. The range before R is set aside and reported. A record without such
// evidence belongs to an incomplete write. If no such record exists, the log ends at P.
//
// Payloads: a batch is the `TraceBatch` of Protos/tracer_service.proto as received, followed by the host; each
// occurrence of its fields 1 to 6 is one event. Barrier, damage, verdict: `BarrierPayload`, `DamagePayload`,
// `VerdictPayload`. A tick has none. A head, which only the router reads: `RouterState.encodeHead`.
//
// Invariants: LSNs and counts never decrease; the accepted counts of a batch are its predecessor's plus its own events,
// those of any other record are its predecessor's; each record contains its predecessor's CRC, so a missing or replaced
// record is detected. Arrival times come from a clock that may be set back.

/// The type of a record. Raw values are on disk.
package enum LogRecordType: UInt8, Sendable {
    /// The head of a log file: state that recovery would otherwise need older files for.
    case fileHead = 1
    /// An accepted batch: the request's bytes followed by the host.
    case batch = 2
    /// The end of a window (`BarrierPayload`).
    case barrier = 3
    /// Advances the workers' clock while nothing else is logged.
    case tick = 4
    /// A damaged range that recovery found (`DamagePayload`), included in the totals.
    case damage = 5
    /// Events that their worker skips because they are in a dead letter (`VerdictPayload`).
    case verdict = 6
}

/// Cumulative event counts, contained in every record.
package struct LogCounts: Sendable, Equatable {
    package var accepted: InlineArray<6, UInt64> = InlineArray(repeating: 0)
    package var deduplicated: UInt64 = 0
    package var rejected: UInt64 = 0
    package var deadLettered: UInt64 = 0

    package init() {}

    package var acceptedTotal: UInt64 {
        var total: UInt64 = 0
        for index in accepted.indices { total += accepted[index] }
        return total
    }

    package static func == (left: LogCounts, right: LogCounts) -> Bool {
        for index in left.accepted.indices where left.accepted[index] != right.accepted[index] {
            return false
        }
        return left.deduplicated == right.deduplicated && left.rejected == right.rejected
            && left.deadLettered == right.deadLettered
    }
}

/// A record in memory: a view into a buffer owned by somebody else.
@safe
package struct LogRecord {
    package static let headerBytes = 128
    static let magic: UInt32 = 0x314C_5254  // "TRL1"
    static let version: UInt8 = 1

    /// Address of the record; `headerBytes` + payload are readable.
    package let base: UnsafeRawPointer

    package init(base: UnsafeRawPointer) { unsafe self.base = unsafe base }

    package var type: LogRecordType? { LogRecordType(rawValue: load(12, as: UInt8.self)) }
    var hasMagic: Bool { load(0, as: UInt32.self) == LogRecord.magic }
    package var lsn: LSN { load(16, as: UInt64.self) }
    package var crc: UInt32 { load(4, as: UInt32.self) }
    package var previousCRC: UInt32 { load(24, as: UInt32.self) }
    package var salt: UInt32 { load(28, as: UInt32.self) }
    package var arrival: EpochNanoseconds { load(32, as: Int64.self) }
    package var durableLSN: LSN { load(40, as: UInt64.self) }
    package var payloadBytes: Int { Int(load(8, as: UInt32.self)) }
    package var hostBytes: Int { Int(load(14, as: UInt16.self)) }
    /// In a file's head, the original size of the file; 0 if not recorded.
    var fileBytes: Int { Int(load(124, as: UInt32.self)) }
    /// Meaning of a batch's fields.
    package var semantics: Semantics {
        Semantics(rawValue: load(120, as: UInt8.self)) ?? .cumulative
    }

    /// Bytes from this record's LSN to the next one's.
    package var stride: Int { LogRecord.stride(payloadBytes: payloadBytes) }

    /// Returns the distance to the next record.
    package static func stride(payloadBytes: Int) -> Int { (headerBytes + payloadBytes + 7) & ~7 }

    package var counts: LogCounts {
        var counts = LogCounts()
        for index in 0..<Resource.count {
            counts.accepted[index] = load(48 + 8 * index, as: UInt64.self)
        }
        counts.deduplicated = load(96, as: UInt64.self)
        counts.rejected = load(104, as: UInt64.self)
        counts.deadLettered = load(112, as: UInt64.self)
        return counts
    }

    package var host: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: base + LogRecord.headerBytes + payloadBytes - hostBytes,
            count: hostBytes
        )
    }

    /// The payload without the host: a batch's bytes, a barrier's fields.
    package var body: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: base + LogRecord.headerBytes,
            count: payloadBytes - hostBytes
        )
    }

    private func load<Integer: FixedWidthInteger>(_ offset: Int, as: Integer.Type) -> Integer {
        unsafe Integer(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
}

/// Iterates over the records in bytes known to be whole and valid: a sealed group, or the result of a reader.
@safe
package struct LogRecords: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer

    package init(_ bytes: UnsafeRawBufferPointer) { unsafe rest = unsafe bytes }

    /// Returns the next record; nil at the end.
    package mutating func next() -> LogRecord? {
        guard let base = unsafe rest.baseAddress, unsafe rest.count >= LogRecord.headerBytes else {
            return nil
        }
        let record = unsafe LogRecord(base: base)
        unsafe precondition(record.stride <= rest.count)
        unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest[record.stride...])
        return record
    }
}

/// Result of checking for a record at a position.
package enum RecordCheck: Equatable {
    /// A valid record of this size.
    case valid(stride: Int)
    /// The available bytes end within the record, which claims to need this many.
    case incomplete(needed: Int)
    /// Not a record of this log at this position: zeros, an older record, or damage.
    case invalid

    /// Checks lengths before it reads anything after the header, then the CRC.
    package static func check(
        _ bytes: UnsafeRawBufferPointer,
        at lsn: LSN,
        salt: UInt32
    ) -> RecordCheck {
        guard let base = bytes.baseAddress, bytes.count >= LogRecord.headerBytes else {
            return .incomplete(needed: LogRecord.headerBytes)
        }
        let record = unsafe LogRecord(base: base)
        guard unsafe UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)) == LogRecord.magic,
            unsafe base.load(fromByteOffset: 13, as: UInt8.self) == LogRecord.version,
            record.lsn == lsn,
            record.salt == salt,
            record.type != nil, record.payloadBytes <= Limits.logRecordBytesMax,
            record.hostBytes <= record.payloadBytes
        else { return .invalid }
        guard bytes.count >= record.stride else { return .incomplete(needed: record.stride) }
        guard crc(of: record) == record.crc else { return .invalid }
        return .valid(stride: record.stride)
    }

    /// Returns the CRC-32C of a record without its magic and the CRC itself.
    static func crc(of record: LogRecord) -> UInt32 {
        unsafe trace_crc32c(0, record.base + 8, LogRecord.headerBytes - 8 + record.payloadBytes)
    }

    /// Returns the same, given the CRC-32C of the record's payload.
    static func crc(of record: LogRecord, payloadCRC: UInt32) -> UInt32 {
        let header = unsafe trace_crc32c(0, record.base + 8, LogRecord.headerBytes - 8)
        return trace_crc32c_joined(header, payloadCRC, record.payloadBytes)
    }

    /// Returns the CRC-32C of a record's payload.
    static func payloadCRC(of record: LogRecord) -> UInt32 {
        unsafe trace_crc32c(0, record.base + LogRecord.headerBytes, record.payloadBytes)
    }
}
