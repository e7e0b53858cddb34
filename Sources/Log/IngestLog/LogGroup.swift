package import SystemIO
package import TraceModel

/// Records being laid out in memory that will share one write and one `fdatasync`.
/// Their LSNs, counts and checksums are filled in by `seal`, once their place in the log is known.
package struct LogGroup: ~Copyable {
    package private(set) var buffer: RawBuffer
    /// Where each record begins in `buffer`.
    package private(set) var offsets: [Int] = []

    package init(capacity: Int = 256 << 10) { buffer = RawBuffer(capacity: capacity) }

    /// For one record that goes to an `AheadFile`, its memory at a block's begin, and few small ones behind it.
    package init(aheadRecordBytes: Int) {
        buffer = RawBuffer(
            capacity: LogRecord.stride(payloadBytes: aheadRecordBytes) + 2 * File.directBytesMin,
            alignment: File.blockBytes)
    }

    package var isEmpty: Bool { offsets.isEmpty }
    package var byteCount: Int { buffer.count }
    /// Memory that the group holds, however many records there are.
    package var capacity: Int { buffer.capacity }

    package func record(at offset: Int) -> LogRecord {
        precondition(offset >= 0 && offset + LogRecord.headerBytes <= buffer.count)
        return LogRecord(base: UnsafeRawPointer(buffer.bytes.baseAddress.unsafelyUnwrapped) + offset)
    }

    /// Begins a record and returns where its `bodyBytes` go; the pointer lives until the next append.
    /// `discardLast` takes the record back.
    package mutating func append(
        _ type: LogRecordType, arrival: EpochNanoseconds, bodyBytes: Int
    ) -> UnsafeMutableRawPointer {
        precondition(bodyBytes <= Limits.messageBytesMax || type != .batch)
        let stride = LogRecord.stride(payloadBytes: bodyBytes)
        offsets.append(buffer.count)
        let base = buffer.reserve(stride)
        buffer.commit(stride)
        (base + stride - 8).storeBytes(of: 0, as: UInt64.self)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: LogRecord.headerBytes)
        base.storeBytes(of: LogRecord.magic.littleEndian, as: UInt32.self)
        base.storeBytes(of: UInt32(bodyBytes).littleEndian, toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: type.rawValue, toByteOffset: 12, as: UInt8.self)
        base.storeBytes(of: LogRecord.version, toByteOffset: 13, as: UInt8.self)
        base.storeBytes(of: arrival.littleEndian, toByteOffset: 32, as: Int64.self)
        return base + LogRecord.headerBytes
    }

    /// Puts the host behind the last record's body; once a record, after the body was filled.
    package mutating func setHost(_ host: UnsafeRawBufferPointer) {
        guard let last = offsets.last, let start = host.baseAddress else { return }
        precondition(host.count <= Limits.hostBytesMax)
        let record = LogRecord(base: buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last)
        precondition(record.hostBytes == 0)
        let body = record.payloadBytes
        let stride = LogRecord.stride(payloadBytes: body + host.count)
        // The record must stay counted here: a buffer that has to grow moves only what counts.
        let extra = last + stride - buffer.count
        _ = buffer.reserve(extra)
        buffer.commit(extra)
        let base = buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        let end = base + LogRecord.headerBytes + body
        end.initializeMemory(as: UInt8.self, repeating: 0, count: stride - LogRecord.headerBytes - body)
        end.copyMemory(from: start, byteCount: host.count)
        base.storeBytes(of: UInt32(body + host.count).littleEndian, toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: UInt16(host.count).littleEndian, toByteOffset: 14, as: UInt16.self)
    }

    /// Says what the fields of the last record's batch mean.
    package mutating func setSemantics(_ semantics: Semantics) {
        guard let last = offsets.last else { return }
        let base = buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        base.storeBytes(of: semantics.rawValue, toByteOffset: 120, as: UInt8.self)
    }

    /// Says in the last record, a head, how large its file was made.
    mutating func setFileBytes(_ count: Int) {
        guard let last = offsets.last else { return }
        let base = buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        base.storeBytes(of: UInt32(count).littleEndian, toByteOffset: 124, as: UInt32.self)
    }

    /// Takes the last record back, as if it had not been appended.
    package mutating func discardLast() {
        guard let last = offsets.popLast() else { return }
        buffer.truncate(to: last)
    }

    /// Takes out the records at these places, as if they had not been appended; the others move together.
    package mutating func remove(where isRemoved: (Int) -> Bool) {
        let base = buffer.mutableBytes.baseAddress.unsafelyUnwrapped
        var kept: [Int] = []
        kept.reserveCapacity(offsets.count)
        var end = 0
        for (index, offset) in offsets.enumerated() where !isRemoved(index) {
            let next = index + 1 < offsets.count ? offsets[index + 1] : buffer.count
            (base + end).copyMemory(from: base + offset, byteCount: next - offset)
            kept.append(end)
            end += next - offset
        }
        offsets = kept
        buffer.truncate(to: end)
    }

    /// Gives each record its place, its counts, the chain, and its checksum.
    /// `counts(i)` are the totals that hold once record i is in the log.
    mutating func seal(
        from start: LSN, previousCRC: UInt32, salt: UInt32, durable: LSN, counts: (Int) -> LogCounts
    ) -> UInt32 {
        var chain = previousCRC
        let base = buffer.mutableBytes.baseAddress.unsafelyUnwrapped
        for (index, offset) in offsets.enumerated() {
            let at = base + offset
            let totals = counts(index)
            at.storeBytes(of: (start + LSN(offset)).littleEndian, toByteOffset: 16, as: UInt64.self)
            at.storeBytes(of: chain.littleEndian, toByteOffset: 24, as: UInt32.self)
            at.storeBytes(of: salt.littleEndian, toByteOffset: 28, as: UInt32.self)
            at.storeBytes(of: durable.littleEndian, toByteOffset: 40, as: UInt64.self)
            for resource in 0..<Resource.count {
                at.storeBytes(
                    of: totals.accepted[resource].littleEndian, toByteOffset: 48 + 8 * resource, as: UInt64.self)
            }
            at.storeBytes(of: totals.deduplicated.littleEndian, toByteOffset: 96, as: UInt64.self)
            at.storeBytes(of: totals.rejected.littleEndian, toByteOffset: 104, as: UInt64.self)
            at.storeBytes(of: totals.deadLettered.littleEndian, toByteOffset: 112, as: UInt64.self)
            chain = RecordCheck.crc(of: LogRecord(base: at))
            at.storeBytes(of: chain.littleEndian, toByteOffset: 4, as: UInt32.self)
        }
        return chain
    }

    /// The records and `padding` zeros behind them; valid until the group changes.
    mutating func bytes(padding: Int) -> UnsafeRawBufferPointer {
        let zeros = buffer.reserve(padding)
        zeros.initializeMemory(as: UInt8.self, repeating: 0, count: padding)
        return UnsafeRawBufferPointer(start: zeros - buffer.count, count: buffer.count + padding)
    }

    /// Forgets the records, keeps memory up to `keeping` bytes.
    package mutating func removeAll(keeping: Int) {
        offsets.removeAll(keepingCapacity: true)
        buffer.removeAll()
        buffer.shrink(keeping: keeping)
    }
}
