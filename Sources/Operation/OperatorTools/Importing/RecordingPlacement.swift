package import TraceModel

/// Where a recording stands in time. Recorders count from their start or from the machine's boot;
/// the server wants times since the epoch.
package enum RecordingPlacement: Equatable, Sendable {
    /// The recording's times are since the epoch already.
    case epoch
    /// The file says what its zero is, in this field.
    case base(EpochNanoseconds, field: String)
    /// The first event is to stand at this time, given by a person.
    case start(EpochNanoseconds)
    /// Nothing is known: the last event stands at the file's modification time.
    case end(EpochNanoseconds)
    /// The same of what came through a pipe: the last event stands where it was read.
    case read(EpochNanoseconds)

    /// Times from here on (September 2001 in microseconds) can only be since the epoch.
    static let epochFrom: Int64 = 1_000_000_000_000_000_000

    /// Chooses the placement: the requested start, else the recording's own clock, else the time at which it was
    /// modified or read.
    package static func choose(
        for recording: Recording,
        start: EpochNanoseconds?,
        modified: EpochNanoseconds,
        isFile: Bool = true
    ) -> RecordingPlacement {
        if let start { return .start(start) }
        if let first = recording.span?.first, first >= epochFrom { return .epoch }
        if let base = recording.base { return .base(base.time, field: base.field) }
        return isFile ? .end(modified) : .read(modified)
    }

    /// What to add to every time of a recording that spans `span`.
    package func shift(span: (first: Int64, last: Int64)) -> Int64 {
        switch self {
        case .epoch: 0
        case .base(let base, _): base
        case .start(let start): start &- span.first
        case .end(let end), .read(let end): end &- span.last
        }
    }

    /// For the report.
    package var reason: String {
        switch self {
        case .epoch: "times are since the epoch"
        case .base(_, let field): "placed by the file's \(field)"
        case .start: "first event placed at --start"
        case .end: "last event placed at the file's modification time"
        case .read: "last event placed at the time of reading"
        }
    }
}
