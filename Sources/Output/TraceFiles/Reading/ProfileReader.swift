import SystemIO
import TraceModel

/// Reads the samples of one window's profile, as `PprofWriter` writes it.
@safe
final class ProfileReader {
    /// The sample read last.
    struct Sample {
        /// The numbers of the functions' names, the innermost first.
        var path: [Int] = []
        var calls: UInt64 = 0
        var nanoseconds: UInt64 = 0
        /// Numbers of the labels' texts.
        var host = 0
        var process = 0
        var pid: UInt32 = 0
    }

    let path: String
    /// The times of the window's first and last event; nil where the file does not say them.
    private(set) var span: ClosedRange<EpochNanoseconds>?
    private(set) var sample = Sample()
    private(set) var strings: [[UInt8]] = []

    /// The stem of the window.
    var stem: String {
        let name = path.split(separator: "/").last ?? ""
        let (head, ending) = ("profile_", ".pb.gz")
        return String(name.dropFirst(head.count).dropLast(ending.count))
    }

    /// Whether the sample is of a process whose agent sends only some of its calls.
    var isOfSampled: Bool {
        sample.path.count == 1 && strings[sample.path[0]] == CallTreeRecord.sampled
    }

    private let reader: RecordReader
    private let budget: ReadingBudget
    private var stringBytes = 0
    private var begin: EpochNanoseconds?
    /// Whether the sample was read together with the head, and is to be returned by `next`.
    private var isAhead = false

    /// Opens the file and reads up to its first sample. Nil if the file is gone. The names are taken from `budget` as long
    /// as it is open.
    /// - Throws: `TraceError(.corrupt)` if it is no profile of this server.
    init?(_ path: String, budget: ReadingBudget) throws {
        self.path = path
        self.budget = budget
        do { reader = try RecordReader(path, bufferBytes: Limits.catBufferBytes) } catch let error
            as SystemError
            where error.isNotFound
        { return nil }
        isAhead = try readSample()
    }

    /// The memory of a name without its text, in bytes.
    private static let stringBytes = 96

    deinit { budget.give(stringBytes) }

    /// Moves to the next sample; returns false after the last one.
    func next() throws -> Bool {
        if isAhead {
            isAhead = false
            return true
        }
        return try readSample()
    }

    private func readSample() throws -> Bool {
        do { return try readFields() } catch let error as TraceError where error.code == .corrupt {
            // What the decompressor says does not name the file.
            throw damaged()
        }
    }

    /// Reads fields up to the next sample; returns false at the end.
    private func readFields() throws -> Bool {
        while let tag = try reader.nextVarint() {
            switch (tag >> 3, tag & 7) {
            case (9, 0): begin = EpochNanoseconds(bitPattern: try number())
            case (10, 0):
                let duration = EpochNanoseconds(clamping: try number())
                if let begin {
                    let (end, overflow) = begin.addingReportingOverflow(duration)
                    span = overflow ? nil : begin...end
                }
            case (_, 0): _ = try number()
            case (let field, 2):
                let count = try number()
                guard count <= UInt64(Limits.segmentRecordBytesMax) else { throw damaged() }
                guard let bytes = try unsafe reader.next(count: Int(count)) else { throw damaged() }
                if field == 6 { try unsafe add(string: bytes) }
                guard field == 2 else { continue }
                guard unsafe decode(bytes) else { throw damaged() }
                return true
            default: throw damaged()
            }
        }
        return false
    }

    private func number() throws -> UInt64 {
        guard let number = try reader.nextVarint() else { throw damaged() }
        return number
    }

    private func add(string bytes: UnsafeRawBufferPointer) throws {
        try budget.take(bytes.count + Self.stringBytes)
        unsafe strings.append(Array(bytes))
        stringBytes += bytes.count + Self.stringBytes
        guard stringBytes <= Limits.profileNamesBytesMax else {
            throw TraceError(
                .exhausted,
                "\(path) has more than \(Limits.profileNamesBytesMax >> 20) MiB of names"
            )
        }
    }

    /// Decodes a message `Sample`; returns false where it is none.
    private func decode(_ bytes: UnsafeRawBufferPointer) -> Bool {
        sample = Sample()
        var at = 0
        while at < bytes.count {
            guard let tag = unsafe Varint.read(bytes, at: &at), tag & 7 == 2,
                let count = unsafe Varint.read(bytes, at: &at), count <= UInt64(bytes.count - at)
            else { return false }
            let end = at + Int(count)
            let value = unsafe UnsafeRawBufferPointer(rebasing: bytes[at..<end])
            at = end
            switch tag >> 3 {
            case 1:
                var position = 0
                while position < value.count {
                    guard let number = unsafe Varint.read(value, at: &position),
                        number < UInt64(strings.count)
                    else { return false }
                    sample.path.append(Int(number))
                }
            case 2:
                var position = 0
                guard let calls = unsafe Varint.read(value, at: &position),
                    let nanoseconds = unsafe Varint.read(value, at: &position)
                else { return false }
                (sample.calls, sample.nanoseconds) = (calls, nanoseconds)
            case 3: guard unsafe decode(label: value) else { return false }
            default: return false
            }
        }
        return true
    }

    private func decode(label bytes: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        guard unsafe Varint.read(bytes, at: &at) == 1 << 3,
            let key = unsafe Varint.read(bytes, at: &at), key < UInt64(strings.count),
            let field = unsafe Varint.read(bytes, at: &at),
            let value = unsafe Varint.read(bytes, at: &at)
        else { return false }
        switch (strings[Int(key)], field) {
        case (Self.host, 2 << 3) where value < UInt64(strings.count): sample.host = Int(value)
        case (Self.process, 2 << 3) where value < UInt64(strings.count): sample.process = Int(value)
        case (Self.pid, 3 << 3): sample.pid = UInt32(truncatingIfNeeded: value)
        default: return false
        }
        return true
    }

    private static let host = Array("host".utf8)
    private static let process = Array("process".utf8)
    private static let pid = Array("pid".utf8)

    private func damaged() -> TraceError {
        TraceError(
            .corrupt,
            "\(path) is no profile of this server, or damaged",
            remedy: "Move it away to read the other windows"
        )
    }
}
