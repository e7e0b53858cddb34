/// A process or thread id as a recording has it. Ids are equal where viewers take them for equal: `7`, `7.0` and `"7"` are.
package enum RecordedID: Hashable, Sendable {
    case number(UInt64)
    /// Any other text: a string, a negative number, a fraction.
    case text([UInt8])

    init(_ text: [UInt8], isNumber: Bool) {
        if let value = Self.plainNumber(text) {
            self = .number(value)
        } else if isNumber, let value = Self.wholeNumber(text) {
            self = value
        } else {
            self = .text(text)
        }
    }

    /// Digits without a leading zero.
    private static func plainNumber(_ text: [UInt8]) -> UInt64? {
        guard let first = text.first, first != UInt8(ascii: "0") || text.count == 1,
            text.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return UInt64(String(decoding: text, as: UTF8.self))
    }

    /// `12.0`, `1.2e1` and `-1.0`, which have many spellings; nil for a fraction, or what is too large to be exact.
    private static func wholeNumber(_ text: [UInt8]) -> RecordedID? {
        guard let value = Double(String(decoding: text, as: UTF8.self)),
            let whole = Int64(exactly: value)
        else {
            return nil
        }
        // Of so many digits a number without a fraction is as it stands.
        if whole.magnitude >= 1 << 53, !text.contains(where: { ".eE".utf8.contains($0) }) {
            return nil
        }
        return whole >= 0 ? .number(UInt64(whole)) : .text(Array(String(whole).utf8))
    }

    /// What it is kept as on the wire, where nothing else is in the way: the number, or that which stands there in hexadecimal.
    /// Hexadecimal ones come second, as they may be another one's number.
    func wireNumber(isHexadecimal: Bool) -> UInt32? {
        switch self {
        case .number(let value): isHexadecimal ? nil : UInt32(exactly: value)
        case .text(let text):
            if isHexadecimal, text.count > 2, text[0] == UInt8(ascii: "0"),
                text[1] | 0x20 == UInt8(ascii: "x")
            {
                UInt32(String(decoding: text[2...], as: UTF8.self), radix: 16)
            } else {
                nil
            }
        }
    }

    /// For people, and as a name where the recording gives none.
    package var shown: String {
        switch self {
        case .number(let value): String(value)
        case .text(let text): String(decoding: text, as: UTF8.self)
        }
    }

    /// Bytes it takes beside its place.
    var bytes: Int {
        switch self {
        case .number: 0
        case .text(let text): text.count
        }
    }
}

/// A process of a recording.
package struct RecordedProcess: Sendable {
    package let id: RecordedID
    /// Its id on the wire, which `Recording.numberThreads` chooses.
    package internal(set) var pid: UInt32 = 0
    /// What the recording calls it; the last name given stays.
    package internal(set) var name: String?
    /// Where viewers put it, lowest first; 0 for nowhere in particular.
    package internal(set) var sortIndex: Int32 = 0
    /// Events that gave name or place.
    var namings = 0
    var hasCalls = false

    /// Whether its id on the wire is another than the recording's.
    package var isRenumbered: Bool { id != .number(UInt64(pid)) }
}

/// A thread of a recording.
package struct RecordedThread: Sendable {
    /// Index into `Recording.processes`.
    package let process: UInt32
    package let id: RecordedID
    /// As `RecordedProcess.pid`.
    package internal(set) var tid: UInt32 = 0
    package internal(set) var name: String?
    var namings = 0
    var hasCalls = false

    /// Whether its name is sent. On the wire a name of thread 0 is the whole process's.
    var isNamed: Bool { hasCalls && tid != 0 }

    /// Whether its id on the wire is another than the recording's.
    package var isRenumbered: Bool { id != .number(UInt64(tid)) }
}
