package import TraceModel

// Encoding of sections
// ====================
//
// A message holds one section after another. A section consists of a head and a body. The head: slot u8, flags u8
// (1 full, 2 complete), LSN u64, length of the body in bytes u32. The body is a sequence of codes with their operands:
//
//   0x00…0x3F  the value of the group's series with this number
//   0x40…0x7F  the same, preceded by the series' definition: family u16, then those of its labels that are texts
//   0x80       begin of a group: the id of its first series, as the (zigzag) difference to the previous group's
//   0x81       host (text) and process id (number): labels of the series defined after it
//   0x82       name of the process (text)
//   0x83       name of what the group describes (text)
//   0x84       host (text) and process id (number) of a quiet process: a full section names none of its series,
//              which are reported again with their present values when the process becomes active
//
// The id of a series is its group's first id plus its number in the group. Numbers are little-endian base 128; a text
// is preceded by its length. A value is an integer below 2⁵² times two, or 1 followed by the eight bytes of a double.
// A histogram is one number for each bucket, followed by the sum as a value.

/// The codes in a section's body.
enum SeriesCode {
    static let definition: UInt8 = 0x40
    static let group: UInt8 = 0x80
    static let process: UInt8 = 0x81
    static let processName: UInt8 = 0x82
    static let name: UInt8 = 0x83
    static let quietProcess: UInt8 = 0x84

    static let isFull: UInt8 = 1
    static let isComplete: UInt8 = 2
    static let headBytes = 14
    /// Integers from here on are written as doubles.
    static let wholeMax = 0x1p52
}

/// The head of a section: which slot a worker reports, and as of when.
package struct SeriesSection: Sendable, Equatable {
    package var slot: UInt8
    /// The log position up to which the slot's state is applied.
    package var lsn: LSN
    /// True if the section names every series of the slot, so that all others are gone; false if it holds what changed
    /// since the worker's last section.
    package var isFull: Bool
    /// False if there is more, which a later section brings.
    package var isComplete: Bool
}

/// Receives what a `SeriesDecoder` reads.
package protocol SeriesReceiver {
    mutating func begin(_ section: SeriesSection)

    /// Defines the series of an id. Labels are in the order of the family's; their number and length have been checked.
    mutating func define(_ id: UInt32, _ family: MetricFamily, _ labels: [String])

    /// Returns the family of an id, or nil where the id is not defined. In that case nothing more can be read.
    func family(of id: UInt32) -> MetricFamily?

    /// Marks a process as quiet: its series are not shown now, and will be reported again with their present values.
    mutating func markQuiet(host: String, pid: String)

    mutating func take(_ id: UInt32, _ value: Double)

    /// Takes a histogram. The buckets are those of `MetricValue`, borrowed for the call.
    mutating func take(_ id: UInt32, _ buckets: UnsafeBufferPointer<UInt64>, sum: Double)

    mutating func end(_ section: SeriesSection)
}

/// Reads what `SeriesWriter` wrote.
@safe
package struct SeriesDecoder {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var end = 0

    private var host = ""
    private var pid = ""
    private var process = ""
    private var name = ""
    /// The labels of one definition, in memory that the next one uses again.
    private var labels: [String] = []
    private var group: UInt32 = 0
    private let buckets: UnsafeMutableBufferPointer<UInt64>

    private init(_ bytes: UnsafeRawBufferPointer, _ buckets: UnsafeMutableBufferPointer<UInt64>) {
        unsafe self.bytes = unsafe bytes
        unsafe self.buckets = unsafe buckets
    }

    /// Decodes sections. Returns false where a value came for an id that the receiver does not know; the receiver has
    /// then got everything before it.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no sections; what precedes the damage has been delivered.
    package static func decode(
        _ sections: [UInt8],
        into receiver: inout some SeriesReceiver
    ) throws(TraceError) -> Bool {
        let bounds = MetricCatalog.all.map(\.bounds.count).max() ?? 0
        let buckets = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: bounds + 1)
        defer { unsafe buckets.deallocate() }
        var failure: TraceError?
        let isKnown = unsafe sections.withUnsafeBytes { bytes in
            var decoder = unsafe SeriesDecoder(bytes, buckets)
            do throws(TraceError) {
                while decoder.at < bytes.count {
                    guard try decoder.readSection(into: &receiver) else { return false }
                }
            } catch { failure = error }
            return true
        }
        if let failure { throw failure }
        return isKnown
    }

    // MARK: Sections

    private mutating func readSection(
        into receiver: inout some SeriesReceiver
    ) throws(TraceError) -> Bool {
        end = unsafe bytes.count
        guard end - at >= SeriesCode.headBytes else { throw Self.damaged("a section's head") }
        let flags = unsafe bytes[at + 1]
        let section = unsafe SeriesSection(
            slot: bytes[at],
            lsn: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 2, as: UInt64.self)),
            isFull: flags & SeriesCode.isFull != 0,
            isComplete: flags & SeriesCode.isComplete != 0
        )
        let length = unsafe UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: at + 10, as: UInt32.self)
        )
        at += SeriesCode.headBytes
        guard Int(length) <= end - at else { throw Self.damaged("a section's length") }
        end = at + Int(length)
        group = 0
        receiver.begin(section)
        while at < end { guard try readCode(into: &receiver) else { return false } }
        receiver.end(section)
        return true
    }

    private mutating func readCode(
        into receiver: inout some SeriesReceiver
    ) throws(TraceError) -> Bool {
        let code = try readByte()
        switch code {
        case 0..<SeriesCode.definition:
            return try readValue(of: group &+ UInt32(code), into: &receiver)
        case SeriesCode.definition..<SeriesCode.group:
            let id = group &+ UInt32(code & ~SeriesCode.definition)
            try readDefinition(of: id, into: &receiver)
            return try readValue(of: id, into: &receiver)
        case SeriesCode.group:
            let raw = try readNumber()
            let step = Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
            guard let first = UInt32(exactly: Int64(group) &+ step),
                first <= Limits.seriesIDsMax - SeriesSet.countMax
            else { throw Self.damaged("a group's id") }
            group = first
        case SeriesCode.process:
            host = try readText()
            pid = "\(try readNumber())"
        case SeriesCode.processName: process = try readText()
        case SeriesCode.name: name = try readText()
        case SeriesCode.quietProcess:
            receiver.markQuiet(host: try readText(), pid: "\(try readNumber())")
        default: throw Self.damaged("the code \(code)")
        }
        return true
    }

    // MARK: Series

    private mutating func readDefinition(
        of id: UInt32,
        into receiver: inout some SeriesReceiver
    ) throws(TraceError) {
        let raw = UInt16(try readByte()) | UInt16(try readByte()) << 8
        guard let family = MetricFamily(rawValue: raw), family.descriptor.derivation == nil else {
            throw Self.damaged("family \(raw)")
        }
        labels.removeAll(keepingCapacity: true)
        for source in family.descriptor.sources {
            switch source {
            case .host: labels.append(host)
            case .pid: labels.append(pid)
            case .process: labels.append(process)
            case .pidText: labels.append("pid-" + pid)
            case .name: labels.append(name)
            case .text: labels.append(try readText())
            }
        }
        receiver.define(id, family, labels)
    }

    @inline(__always) private mutating func readValue(
        of id: UInt32,
        into receiver: inout some SeriesReceiver
    ) throws(TraceError) -> Bool {
        guard let family = receiver.family(of: id) else { return false }
        let width = MetricCatalog.valueCounts[Int(family.rawValue)]
        if width == 1 {
            receiver.take(id, try readDouble())
            return true
        }
        for index in 0..<Int(width) - 1 { unsafe buckets[index] = try readNumber() }
        let counts = unsafe UnsafeBufferPointer(start: buckets.baseAddress, count: Int(width) - 1)
        unsafe receiver.take(id, counts, sum: try readDouble())
        return true
    }

    // MARK: Bytes

    private static func damaged(_ what: String) -> TraceError {
        TraceError(.corrupt, "a message of series is damaged: \(what)")
    }

    @inline(__always) private mutating func readByte() throws(TraceError) -> UInt8 {
        guard at < end else { throw Self.damaged("it ends early") }
        defer { at += 1 }
        return unsafe bytes[at]
    }

    /// Reads a number as `Varint.read` does. A loop of its own, because each value passes here and generic code over a
    /// slice is not specialised.
    @inline(__always) private mutating func readNumber() throws(TraceError) -> UInt64 {
        let first = try readByte()
        if first < 0x80 { return UInt64(first) }
        var value = UInt64(first & 0x7F)
        var shift: UInt64 = 7
        while shift < 70 {
            let byte = try readByte()
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Self.damaged("a number")
    }

    @inline(__always) private mutating func readDouble() throws(TraceError) -> Double {
        let number = try readNumber()
        if number & 1 == 0 { return Double(number >> 1) }
        guard number == 1, end - at >= 8 else { throw Self.damaged("a value") }
        defer { at += 8 }
        let pattern = unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        return Double(bitPattern: UInt64(littleEndian: pattern))
    }

    private mutating func readText() throws(TraceError) -> String {
        let length = try readNumber()
        guard length <= Limits.labelBytesMax, Int(length) <= end - at else {
            throw Self.damaged("a text of \(length) bytes")
        }
        defer { at += Int(length) }
        let text = unsafe UnsafeRawBufferPointer(rebasing: bytes[at..<at + Int(length)])
        return unsafe String(decoding: text, as: UTF8.self)
    }
}
