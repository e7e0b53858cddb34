package import SystemIO
package import TraceModel

/// Records in memory that will share one write and one `fdatasync`. `seal` fills in their LSNs, counts and checksums,
/// once their LSN is known.
package struct LogGroup: ~Copyable {
    package private(set) var buffer: RawBuffer
    /// Offset of each record in `buffer`.
    package private(set) var offsets: [Int] = []
    /// The checksum of the first record's payload if it was computed before.
    private var firstPayloadCRC: UInt32?

    package init(capacity: Int = 256 << 10) { buffer = RawBuffer(capacity: capacity) }

    /// Creates a group for one record that goes to an `AheadFile`, with block-aligned memory and room for a few small
    /// records after it.
    package init(aheadRecordBytes: Int) {
        buffer = RawBuffer(
            capacity: LogRecord.stride(payloadBytes: aheadRecordBytes) + 2 * File.directBytesMin,
            alignment: File.blockBytes
        )
    }

    /// Creates a group with the record of a barrier that ended at `end` and is not in the log any more.
    package init(_ barrier: BarrierPayload, endingAt end: LSN) {
        var body = RawBuffer()
        barrier.encode(into: &body)
        self.init(capacity: LogRecord.stride(payloadBytes: body.count))
        let target = unsafe append(.barrier, arrival: 0, bodyBytes: body.count)
        unsafe UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(
            from: body.bytes
        )
        let begin = end - LSN(byteCount)
        _ = seal(from: begin, previousCRC: 0, salt: 0, durable: 0) { _ in LogCounts() }
    }

    package var isEmpty: Bool { offsets.isEmpty }
    package var byteCount: Int { buffer.count }
    /// Memory allocated by the group, however many records it contains.
    package var capacity: Int { buffer.capacity }

    /// Returns the record at an offset in `buffer`; valid until the group changes.
    package func record(at offset: Int) -> LogRecord {
        precondition(offset >= 0 && offset + LogRecord.headerBytes <= buffer.count)
        return unsafe LogRecord(
            base: UnsafeRawPointer(buffer.bytes.baseAddress.unsafelyUnwrapped) + offset
        )
    }

    /// Appends a record and returns the address for its `bodyBytes`, valid until the next append. `discardLast` removes
    /// the record again.
    package mutating func append(
        _ type: LogRecordType,
        arrival: EpochNanoseconds,
        bodyBytes: Int
    ) -> UnsafeMutableRawPointer {
        precondition(bodyBytes <= Limits.messageBytesMax || type != .batch)
        let stride = LogRecord.stride(payloadBytes: bodyBytes)
        offsets.append(buffer.count)
        let base = unsafe buffer.reserve(stride)
        buffer.commit(stride)
        unsafe (base + stride - 8).storeBytes(of: 0, as: UInt64.self)
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: LogRecord.headerBytes)
        unsafe base.storeBytes(of: LogRecord.magic.littleEndian, as: UInt32.self)
        unsafe base.storeBytes(of: UInt32(bodyBytes).littleEndian, toByteOffset: 8, as: UInt32.self)
        unsafe base.storeBytes(of: type.rawValue, toByteOffset: 12, as: UInt8.self)
        unsafe base.storeBytes(of: LogRecord.version, toByteOffset: 13, as: UInt8.self)
        unsafe base.storeBytes(of: arrival.littleEndian, toByteOffset: 32, as: Int64.self)
        return unsafe base + LogRecord.headerBytes
    }

    /// Appends the host to the last record's body; once per record, after the body was filled.
    package mutating func setHost(_ host: UnsafeRawBufferPointer) {
        guard let last = offsets.last, let start = host.baseAddress else { return }
        precondition(host.count <= Limits.hostBytesMax)
        precondition(offsets.count > 1 || firstPayloadCRC == nil, "its payload is summed up")
        let record = unsafe LogRecord(
            base: buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        )
        precondition(record.hostBytes == 0)
        let body = record.payloadBytes
        let stride = LogRecord.stride(payloadBytes: body + host.count)
        // The record must already be counted here: a buffer that grows moves only counted bytes.
        let extra = last + stride - buffer.count
        _ = unsafe buffer.reserve(extra)
        buffer.commit(extra)
        let base = unsafe buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        let end = unsafe base + LogRecord.headerBytes + body
        unsafe end.initializeMemory(
            as: UInt8.self,
            repeating: 0,
            count: stride - LogRecord.headerBytes - body
        )
        unsafe end.copyMemory(from: start, byteCount: host.count)
        unsafe base.storeBytes(
            of: UInt32(body + host.count).littleEndian,
            toByteOffset: 8,
            as: UInt32.self
        )
        unsafe base.storeBytes(
            of: UInt16(host.count).littleEndian,
            toByteOffset: 14,
            as: UInt16.self
        )
    }

    /// Sets the meaning of the fields in the last record's batch.
    package mutating func setSemantics(_ semantics: Semantics) {
        guard let last = offsets.last else { return }
        let base = unsafe buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        unsafe base.storeBytes(of: semantics.rawValue, toByteOffset: 120, as: UInt8.self)
    }

    /// Stores the size of its file in the last record, a head.
    mutating func setFileBytes(_ count: Int) {
        guard let last = offsets.last else { return }
        let base = unsafe buffer.mutableBytes.baseAddress.unsafelyUnwrapped + last
        unsafe base.storeBytes(of: UInt32(count).littleEndian, toByteOffset: 124, as: UInt32.self)
    }

    /// Removes the last record.
    package mutating func discardLast() {
        guard let last = offsets.popLast() else { return }
        if offsets.isEmpty { firstPayloadCRC = nil }
        buffer.truncate(to: last)
    }

    /// Computes the checksum of the first record's payload, which is complete, so that `seal` does not have to.
    mutating func sumFirstPayload() {
        precondition(!isEmpty)
        firstPayloadCRC = RecordCheck.payloadCRC(of: record(at: offsets[0]))
    }

    /// Removes the records for which the closure returns true for their index, and closes the gaps.
    package mutating func remove(where isRemoved: (Int) -> Bool) {
        firstPayloadCRC = nil
        let base = unsafe buffer.mutableBytes.baseAddress.unsafelyUnwrapped
        var kept: [Int] = []
        kept.reserveCapacity(offsets.count)
        var end = 0
        for (index, offset) in offsets.enumerated() where !isRemoved(index) {
            let next = index + 1 < offsets.count ? offsets[index + 1] : buffer.count
            unsafe (base + end).copyMemory(from: base + offset, byteCount: next - offset)
            kept.append(end)
            end += next - offset
        }
        offsets = kept
        buffer.truncate(to: end)
    }

    /// Sets each record's LSN, counts, chain and checksum. `counts(i)` are the totals once record i is in the log.
    mutating func seal(
        from start: LSN,
        previousCRC: UInt32,
        salt: UInt32,
        durable: LSN,
        counts: (Int) -> LogCounts
    ) -> UInt32 {
        var chain = previousCRC
        let base = unsafe buffer.mutableBytes.baseAddress.unsafelyUnwrapped
        for (index, offset) in offsets.enumerated() {
            let at = unsafe base + offset
            let totals = counts(index)
            unsafe at.storeBytes(
                of: (start + LSN(offset)).littleEndian,
                toByteOffset: 16,
                as: UInt64.self
            )
            unsafe at.storeBytes(of: chain.littleEndian, toByteOffset: 24, as: UInt32.self)
            unsafe at.storeBytes(of: salt.littleEndian, toByteOffset: 28, as: UInt32.self)
            unsafe at.storeBytes(of: durable.littleEndian, toByteOffset: 40, as: UInt64.self)
            for resource in 0..<Resource.count {
                unsafe at.storeBytes(
                    of: totals.accepted[resource].littleEndian,
                    toByteOffset: 48 + 8 * resource,
                    as: UInt64.self
                )
            }
            unsafe at.storeBytes(
                of: totals.deduplicated.littleEndian,
                toByteOffset: 96,
                as: UInt64.self
            )
            unsafe at.storeBytes(
                of: totals.rejected.littleEndian,
                toByteOffset: 104,
                as: UInt64.self
            )
            unsafe at.storeBytes(
                of: totals.deadLettered.littleEndian,
                toByteOffset: 112,
                as: UInt64.self
            )
            let record = unsafe LogRecord(base: at)
            if index == 0, let firstPayloadCRC {
                chain = RecordCheck.crc(of: record, payloadCRC: firstPayloadCRC)
            } else {
                chain = RecordCheck.crc(of: record)
            }
            unsafe at.storeBytes(of: chain.littleEndian, toByteOffset: 4, as: UInt32.self)
        }
        return chain
    }

    /// Returns the records followed by `padding` zeros; valid until the group changes.
    mutating func bytes(padding: Int) -> UnsafeRawBufferPointer {
        let zeros = unsafe buffer.reserve(padding)
        unsafe zeros.initializeMemory(as: UInt8.self, repeating: 0, count: padding)
        return unsafe UnsafeRawBufferPointer(
            start: zeros - buffer.count,
            count: buffer.count + padding
        )
    }

    /// Removes all records; keeps memory up to `keeping` bytes.
    package mutating func removeAll(keeping: Int) {
        offsets.removeAll(keepingCapacity: true)
        firstPayloadCRC = nil
        buffer.removeAll()
        buffer.shrink(keeping: keeping)
    }
}
