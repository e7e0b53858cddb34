import SystemIO
package import TraceModel

/// The binary form of segments that viewers never open (stacks, anomalies, call trees), little-endian: `u32 number of bytes that
/// follow | i64 ts | u32 pid | u16 host length | host | payload`. A payload has two parts, the first one preceded by
/// its 32-bit length.
enum SegmentRecord {
    static let lengthBytes = 4
    static let fixedBytes = 14

    /// Begins a record. `end` fills in its length.
    static func begin(
        ts: EpochNanoseconds,
        pid: UInt32,
        host: String,
        in text: inout RawBuffer
    ) -> Int {
        let start = text.count
        text.append(integer: UInt32(0))
        text.append(integer: ts)
        text.append(integer: pid)
        text.append(integer: UInt16(host.utf8.count))
        text.append(host)
        return start
    }

    /// Stores the number of bytes appended since `start` in the four bytes at `start`.
    static func end(_ start: Int, in text: inout RawBuffer) {
        let length = UInt32(text.count - start - lengthBytes)
        unsafe text.mutableBytes.storeBytes(
            of: length.littleEndian,
            toByteOffset: start,
            as: UInt32.self
        )
    }

    /// Splits a payload into its two parts; nil if it is too short.
    static func parts(
        of payload: UnsafeRawBufferPointer
    ) -> (UnsafeRawBufferPointer, UnsafeRawBufferPointer)? {
        guard payload.count >= lengthBytes else { return nil }
        let first = unsafe Int(UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self)))
        guard first <= payload.count - lengthBytes else { return nil }
        let middle = lengthBytes + first
        return unsafe (
            UnsafeRawBufferPointer(rebasing: payload[lengthBytes..<middle]),
            UnsafeRawBufferPointer(rebasing: payload[middle...])
        )
    }
}

/// One anomaly, as written to the anomalies file. The views are borrowed for the call only.
package struct AnomalyRow {
    package var rule: StaticString
    package var host: HostID
    package var pid: UInt32
    package var process: ByteView
    package var ts: EpochNanoseconds
    package var value: Double
    package var baseline: Double
    package var score: Double
    /// 0–1.
    package var severity: Double
    package var message: ByteView

    package init(
        rule: StaticString,
        host: HostID,
        pid: UInt32,
        process: ByteView,
        ts: EpochNanoseconds,
        value: Double,
        baseline: Double,
        score: Double,
        severity: Double,
        message: ByteView
    ) {
        self.rule = rule
        self.host = host
        self.pid = pid
        self.process = process
        self.ts = ts
        self.value = value
        self.baseline = baseline
        self.score = score
        self.severity = severity
        self.message = message
    }
}
