import TraceModel

/// The kind under which an operation is counted. Raw values are positions in arrays and in stored state.
enum IOOperation: Int, CaseIterable {
    case read = 0
    case write = 1
    case other = 2

    /// The label in metrics.
    var label: String {
        switch self {
        case .read: "read"
        case .write: "write"
        case .other: "other"
        }
    }

    /// Maps the agent's name of an operation, ignoring case.
    @inline(__always) init(_ name: ByteView) {
        if Self.matches(name, "read") {
            self = .read
        } else if Self.matches(name, "write") {
            self = .write
        } else {
            self = .other
        }
    }

    @inline(__always) private static func matches(
        _ name: ByteView,
        _ lowercase: StaticString
    ) -> Bool {
        guard name.count == lowercase.utf8CodeUnitCount, let start = name.start else {
            return false
        }
        for index in 0..<name.count {
            let byte = start.load(fromByteOffset: index, as: UInt8.self)
            if byte | 0x20 != lowercase.utf8Start[index] { return false }
        }
        return true
    }
}
