import SystemIO
import TraceModel

/// Writes a profile in pprof's protobuf format, sample by sample. `go tool pprof`, speedscope and Pyroscope read it.
///
/// Samples have two values: `calls` (count) and `time` (nanoseconds, self time). A function, its location and its name
/// have one number. Names are written when they are first used, and remembered within bounds; one that was forgotten is
/// defined again, which readers take for another function of the same name and add up.
@safe final class PprofWriter {
    /// A value of a label.
    enum LabelValue {
        case text([UInt8])
        case number(UInt64)
    }

    /// Field numbers of `Profile`.
    private enum Field: UInt64 {
        case sampleType = 1
        case sample = 2
        case location = 4
        case function = 5
        case string = 6
        case timeNanoseconds = 9
        case durationNanoseconds = 10
        case defaultSampleType = 14
    }

    /// Receives what was written, in pieces.
    typealias Output = (UnsafeRawBufferPointer) throws -> Void

    private let output: Output
    private var text = RawBuffer()
    private let heldBytesMax: Int
    private var strings: [[UInt8]: UInt64] = [:]
    private var stringCount: UInt64 = 0
    private var heldBytes = 0
    /// Numbers of strings that are defined as functions.
    private var functions: Set<UInt64> = []
    /// The message being put together, and a message within it.
    private var message = RawBuffer()
    private var inner = RawBuffer()

    /// The approximate memory of a remembered name in addition to its bytes.
    private static let entryBytes = 96

    private static let pieceBytes = 64 << 10

    init(heldBytesMax: Int = Limits.foldedStacksBytesMax, _ output: @escaping Output) {
        unsafe self.output = unsafe output
        self.heldBytesMax = heldBytesMax
        _ = string([])
    }

    /// Writes what readers need first.
    func begin(span: ClosedRange<EpochNanoseconds>?) {
        if let span {
            append(.timeNanoseconds, UInt64(bitPattern: span.lowerBound))
            append(.durationNanoseconds, UInt64(span.upperBound &- span.lowerBound))
        }
        for (name, unit) in [("calls", "count"), ("time", "nanoseconds")] {
            let (name, unit) = (string(Array(name.utf8)), string(Array(unit.utf8)))
            message.removeAll()
            Self.append(1, name, to: &message)
            Self.append(2, unit, to: &message)
            end(.sampleType)
        }
        append(.defaultSampleType, string(Array("time".utf8)))
    }

    /// Writes a sample. `path` starts with the outermost function.
    func add(
        path: [[UInt8]],
        calls: UInt64,
        nanoseconds: UInt64,
        labels: [(key: StaticString, value: LabelValue)]
    ) throws {
        if heldBytes > heldBytesMax { forget() }
        let locations = path.reversed().map(function)
        let numbers = labels.map { label in
            let key = string(label.key.withUTF8Buffer { unsafe Array($0) })
            switch label.value {
            case .text(let text): return (key, 2, string(text))
            case .number(let number): return (key, 3, number)
            }
        }
        message.removeAll()
        inner.removeAll()
        for location in locations { inner.append(varint: location) }
        nest(1)
        for value in [calls, nanoseconds] {
            inner.append(varint: min(value, UInt64(Int64.max)))
        }
        nest(2)
        for (key, field, value) in numbers {
            Self.append(1, key, to: &inner)
            Self.append(UInt64(field), value, to: &inner)
            nest(3)
        }
        end(.sample)
        if text.count >= Self.pieceBytes { try finish() }
    }

    /// Writes what is left.
    func finish() throws {
        try unsafe output(text.bytes)
        text.removeAll()
    }

    /// Returns the number of a function and its location, which are written if they are new.
    private func function(_ name: [UInt8]) -> UInt64 {
        let number = string(name)
        guard functions.insert(number).inserted else { return number }
        message.removeAll()
        Self.append(1, number, to: &message)
        Self.append(2, number, to: &message)
        end(.function)
        message.removeAll()
        Self.append(1, number, to: &message)
        Self.append(1, number, to: &inner)
        nest(4)
        end(.location)
        return number
    }

    private func string(_ text: [UInt8]) -> UInt64 {
        if let known = strings[text] { return known }
        let number = stringCount
        strings[text] = number
        stringCount += 1
        heldBytes += text.count + Self.entryBytes
        message.removeAll()
        unsafe text.withUnsafeBytes { unsafe message.append($0) }
        end(.string)
        return number
    }

    private func forget() {
        strings = [:]
        functions = []
        heldBytes = 0
    }

    // MARK: Protobuf

    private static func append(_ field: UInt64, _ number: UInt64, to text: inout RawBuffer) {
        text.append(varint: field << 3)
        text.append(varint: number)
    }

    private func append(_ field: Field, _ number: UInt64) {
        Self.append(field.rawValue, number, to: &text)
    }

    /// Appends `inner` to `message` as the value of a field, and empties it.
    private func nest(_ field: UInt64) {
        message.append(varint: field << 3 | 2)
        message.append(varint: UInt64(inner.count))
        unsafe message.append(inner.bytes)
        inner.removeAll()
    }

    /// Writes `message` as the value of a field of the profile.
    private func end(_ field: Field) {
        text.append(varint: field.rawValue << 3 | 2)
        text.append(varint: UInt64(message.count))
        unsafe text.append(message.bytes)
    }
}
