import TraceModel

/// One row as a run's reader found it; the views are valid until the reader moves on.
struct RunRow {
    var ts: EpochNanoseconds = 0
    var pid: UInt32 = 0
    /// The host as it stands in the row (of CSV: perhaps quoted); empty where the output is one host's.
    var host = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The row as it stands in a segment, without the comma and LF of JSON.
    var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Of an event: where its text goes on behind time and process.
    private(set) var keyEnd = 0
    /// Of binary records: what follows the key.
    var payload = UnsafeRawBufferPointer(start: nil, count: 0)

    init() {}

    /// An event `{"ts":…,"pid":…,`.
    init?(json bytes: UnsafeRawBufferPointer) {
        var parser = RowParser(bytes)
        guard parser.skip("{\"ts\":"), let ts = parser.microseconds(), parser.skip(",\"pid\":"),
            let pid = parser.processID()
        else { return nil }
        self.ts = ts
        self.pid = pid
        self.bytes = bytes
        keyEnd = parser.position
    }

    /// A CSV row with its line's end: the process id is column 2, the host and the time are the last two.
    init?(csv bytes: UnsafeRawBufferPointer) {
        let comma = UInt8(ascii: ",")
        guard bytes.count > 2, bytes[bytes.count - 2] == 0x0D, let first = bytes.firstIndex(of: comma) else {
            return nil
        }
        var parser = RowParser(bytes)
        parser.position = first + 1
        guard let pid = parser.processID(), parser.skip(",") else { return nil }
        var start = bytes.count - 2
        while start > 0, bytes[start - 1] != comma { start -= 1 }
        parser.position = start
        guard let ts = parser.signed(), parser.position == bytes.count - 2, start > 0 else { return nil }
        let hostEnd = start - 1
        guard let hostStart = Self.fieldStart(bytes, endingAt: hostEnd) else { return nil }
        self.ts = ts
        self.pid = pid
        self.bytes = bytes
        host = UnsafeRawBufferPointer(rebasing: bytes[hostStart..<hostEnd])
    }

    /// A whole `SegmentRecord`.
    init?(record bytes: UnsafeRawBufferPointer) {
        let fixed = SegmentRecord.lengthBytes + SegmentRecord.fixedBytes
        guard bytes.count >= fixed else { return nil }
        ts = Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: Int64.self))
        pid = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        let hostBytes = bytes.loadUnaligned(fromByteOffset: 16, as: UInt16.self)
        let hostEnd = fixed + Int(UInt16(littleEndian: hostBytes))
        guard bytes.count >= hostEnd else { return nil }
        self.bytes = bytes
        host = UnsafeRawBufferPointer(rebasing: bytes[fixed..<hostEnd])
        payload = UnsafeRawBufferPointer(rebasing: bytes[hostEnd...])
    }

    /// Whether this row comes first; rows with equal keys keep the order of their runs.
    func precedes(_ other: RunRow) -> Bool? {
        if ts != other.ts { return ts < other.ts }
        if pid != other.pid { return pid < other.pid }
        if host.elementsEqual(other.host) { return nil }
        // Quotes must not decide: workers order by the bare name.
        return Self.unquoted(host).lexicographicallyPrecedes(Self.unquoted(other.host))
    }

    /// Where the field that ends before `end` begins. Quotes within a quoted field come in pairs.
    static func fieldStart(_ bytes: UnsafeRawBufferPointer, endingAt end: Int) -> Int? {
        let quote = UInt8(ascii: "\"")
        var start = end
        guard end > 0 else { return nil }
        if bytes[end - 1] != quote {
            while start > 0, bytes[start - 1] != UInt8(ascii: ",") { start -= 1 }
            return start > 0 ? start : nil
        }
        start = end - 2
        while start >= 0 {
            if bytes[start] != quote {
                start -= 1
            } else if start > 0, bytes[start - 1] == quote {
                start -= 2
            } else {
                return start
            }
        }
        return nil
    }

    /// A CSV field's text.
    static func unquoted(_ field: UnsafeRawBufferPointer) -> [UInt8] {
        let quote = UInt8(ascii: "\"")
        guard field.first == quote, field.count >= 2 else { return Array(field) }
        var result: [UInt8] = []
        var index = 1
        while index < field.count - 1 {
            result.append(field[index])
            index += field[index] == quote ? 2 : 1
        }
        return result
    }
}
