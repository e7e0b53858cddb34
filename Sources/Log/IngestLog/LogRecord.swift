import CChecksum
package import TraceModel

// The ingest log
// ==============
//
// An endless sequence of bytes, addressed by LSN (byte offset, first record at 0), stored in files
// `log/<base, 20 digits>.log`. The file with base B holds the records from LSN B on, at file offset
// LSN − B; it ends where the file with the next base begins. A record never spans two files. Files are
// removed from the oldest on, so the log begins at the smallest base there is. Other names in `log/` are
// no part of it.
//
// Record (little-endian, starts on a multiple of 8):
//
//   offset size
//        0    4  magic: the bytes "TRL1"
//        4    4  CRC-32C (Castagnoli: reflected polynomial 0x82F63B78, begin and final XOR 0xFFFFFFFF)
//                over bytes 8 ..< 128 + length
//        8    4  length of the payload in bytes, host included, without padding; at most
//                `Limits.logRecordBytesMax`
//       12    1  type (`LogRecordType`)
//       13    1  version of this format: 1
//       14    2  length of the host, the payload's last bytes; 0 but in a batch
//       16    8  LSN of this record
//       24    4  CRC of the record before it (its bytes 4 ..< 8), also across files; 0 for a log's first
//       28    4  salt: the log's identity, drawn when it was created; `salt=` in the data directory's
//                `manifest`, in decimal
//       32    8  arrival, ns since the epoch
//       40    8  durable LSN: everything below was on the disk when this was written
//       48   48  accepted events so far, this record included, by resource in the order function, cpu,
//                memory, network, io, gpu (6 × u64)
//       96    8  deduplicated events so far
//      104    8  rejected events so far
//      112    8  dead-lettered events so far
//      120    1  of a batch what its fields mean (`Semantics`); 0 in records of versions before 0.2, which took
//                every batch for CUMULATIVE
//      121    3  reserved, 0
//      124    4  of a file's head the size that the file was made with, in bytes; 0 in heads of versions before 0.2
//      128    …  payload, then zeros to a multiple of 8
//
// Reading: at position P (the smallest base at first) take the file with base P where there is one, else
// stay in the file being read. A valid record at P has the magic, version 1, a known type, LSN P, the
// manifest's salt, lengths within bounds, a CRC that fits, and names its predecessor's CRC where that was
// read. The next one stands at P + (128 + length, rounded up to a multiple of 8).
//
// A record larger than `Limits.smallMessageBytesMax` comes in a file of its own as a rule (`AheadFile`): the file is
// written as `log/ahead.<n>` but for its head and the record's header, synced, completed once its base is known, and renamed. One
// with a valid head, whose base no other file has, is the log's under this name, too.
// Its head ends in zeros up to the place where the record begins. The file before it is cut to its last record's end.
//
// Files are preallocated, zeroed once, and recycled: what stands behind the last record of a file is
// zeros or an older record, whose LSN does not fit its place. After every start the writer begins a new
// file at the recovered end, so a torn tail is never written over. The first record of each file is a
// head, and heads stand nowhere else. A file has its size before it has its name: one that is shorter than its
// head says, than its head, or than the record that begins in it was cut, and what it held is lost.
//
// Loss: where a file was cut, or the log ends below what `checkpoints/router.end` (`LogEnd`) or a worker's checkpoint
// says, nothing is written before the operator has accepted it. The log then goes on in a new file, at an LSN beyond
// all that is known to have been given, and a damage record says what lies between; the counts go on from
// those that were noted beside the log.
//
// Damage: where no valid record stands at P, the log goes on at the next valid record R, in this file or a
// later one, that is known to have been durable: R itself, or a valid record behind it, has a durable LSN
// that is greater than P, and where it is another's not below R's end. The range before R is set aside and
// reported. A record that nothing says this of is the rest of a write that never finished. Where no record
// goes on, the log ends at P.
//
// Payloads: a batch is the `TraceBatch` of Protos/tracer_service.proto as it was received, then the host;
// each occurrence of one of its fields 1 to 6 is one event. Barrier, damage, verdict: `BarrierPayload`,
// `DamagePayload`, `VerdictPayload`. A tick has none. A head, which only the router reads:
// `RouterState.encodeHead`.
//
// Invariants: LSNs and counts never go back; the accepted counts of a batch are those of the record before
// it plus its own events, those of any other record are its predecessor's; each record carries its
// predecessor's CRC, so a missing or replaced record is seen. Arrivals are a clock's, which may be set.

/// What a record stands for. Raw values are on disk.
package enum LogRecordType: UInt8, Sendable {
    /// The head of a log file: carries what recovery would otherwise need older files for.
    case fileHead = 1
    /// One accepted batch: the request's bytes, then the host.
    case batch = 2
    /// The end of a window (`BarrierPayload`).
    case barrier = 3
    /// The clock's progress while nothing else is logged.
    case tick = 4
    /// A range of the log that recovery found damaged (`DamagePayload`), counted in the totals.
    case damage = 5
    /// Events of one worker that it does not get, as they lie in a dead letter (`VerdictPayload`).
    case verdict = 6
}

/// Cumulative event counts, as every record carries them.
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
        for index in left.accepted.indices where left.accepted[index] != right.accepted[index] { return false }
        return left.deduplicated == right.deduplicated && left.rejected == right.rejected
            && left.deadLettered == right.deadLettered
    }
}

/// One record in memory: a view into a buffer that somebody else owns.
package struct LogRecord {
    package static let headerBytes = 128
    static let magic: UInt32 = 0x314C_5254  // "TRL1"
    static let version: UInt8 = 1

    /// The record's first byte; `headerBytes` + payload are readable.
    package let base: UnsafeRawPointer

    package init(base: UnsafeRawPointer) { self.base = base }

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
    /// Of a file's head: the size that the file was made with; 0 where it doesn't say.
    var fileBytes: Int { Int(load(124, as: UInt32.self)) }
    /// What a batch's fields mean.
    package var semantics: Semantics { Semantics(rawValue: load(120, as: UInt8.self)) ?? .cumulative }

    /// Bytes from this record's LSN to the next one's.
    package var stride: Int { LogRecord.stride(payloadBytes: payloadBytes) }

    package static func stride(payloadBytes: Int) -> Int { (headerBytes + payloadBytes + 7) & ~7 }

    package var counts: LogCounts {
        var counts = LogCounts()
        for index in 0..<Resource.count { counts.accepted[index] = load(48 + 8 * index, as: UInt64.self) }
        counts.deduplicated = load(96, as: UInt64.self)
        counts.rejected = load(104, as: UInt64.self)
        counts.deadLettered = load(112, as: UInt64.self)
        return counts
    }

    package var host: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + LogRecord.headerBytes + payloadBytes - hostBytes, count: hostBytes)
    }

    /// The payload before the host: a batch's bytes, a barrier's fields.
    package var body: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + LogRecord.headerBytes, count: payloadBytes - hostBytes)
    }

    private func load<Integer: FixedWidthInteger>(_ offset: Int, as: Integer.Type) -> Integer {
        Integer(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
}

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

/// What stands at a position where a record is expected.
package enum RecordCheck: Equatable {
    /// A valid record of this many bytes.
    case valid(stride: Int)
    /// The bytes at hand end before the record does; it claims to need this many.
    case incomplete(needed: Int)
    /// No record of this log at this position: zeros, an older record, or damage.
    case invalid

    /// Checks lengths before it looks at anything behind the header, then the CRC.
    package static func check(_ bytes: UnsafeRawBufferPointer, at lsn: LSN, salt: UInt32) -> RecordCheck {
        guard let base = bytes.baseAddress, bytes.count >= LogRecord.headerBytes else {
            return .incomplete(needed: LogRecord.headerBytes)
        }
        let record = LogRecord(base: base)
        guard UInt32(littleEndian: base.loadUnaligned(as: UInt32.self)) == LogRecord.magic,
            base.load(fromByteOffset: 13, as: UInt8.self) == LogRecord.version, record.lsn == lsn, record.salt == salt,
            record.type != nil, record.payloadBytes <= Limits.logRecordBytesMax, record.hostBytes <= record.payloadBytes
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
