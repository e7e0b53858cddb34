package import SystemIO
package import TraceModel

/// The body of a verdict record: the range in which one worker's events are skipped, because they are in a dead letter
/// instead. It applies to batches that start in the range; barriers and ticks still reach the worker.
///
/// Layout, little-endian: resource u8, cause u8, index of the worker u16, from u64, to u64, events u64, length of the
/// reason u32, reason.
package struct VerdictPayload: Equatable, Sendable {
    /// The reason why events are set aside. Raw values are on disk.
    package enum Cause: UInt8, Sendable {
        /// The record has crashed its worker too often.
        case crash = 1
        /// An operator's `tracectl skip`.
        case skip = 2

        /// The word used in names of dead letters.
        package var name: String {
            switch self {
            case .crash: "crash"
            case .skip: "skip"
            }
        }

        package init?(name: some StringProtocol) {
            switch name {
            case "crash": self = .crash
            case "skip": self = .skip
            default: return nil
            }
        }
    }

    /// The worker that owned the events' slots under the slot map in force at each record.
    package let worker: WorkerName
    package let cause: Cause
    package let range: Range<LSN>
    package let events: UInt64
    /// In words for the operator.
    package let reason: String

    package init(
        worker: WorkerName,
        cause: Cause,
        range: Range<LSN>,
        events: UInt64,
        reason: String
    ) {
        self.worker = worker
        self.cause = cause
        self.range = range
        self.events = events
        self.reason = reason
    }

    /// Appends the encoded body.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: worker.resource.rawValue)
        buffer.append(byte: cause.rawValue)
        buffer.append(integer: UInt16(worker.index))
        buffer.append(integer: range.lowerBound)
        buffer.append(integer: range.upperBound)
        buffer.append(integer: events)
        buffer.append(counted: reason)
    }

    /// - Throws: `TraceError(.corrupt)` if the bytes are not a verdict.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = unsafe StateReader(bytes)
        let resource = Resource(rawValue: try reader.integer(UInt8.self))
        let cause = Cause(rawValue: try reader.integer(UInt8.self))
        let index = Int(try reader.integer(UInt16.self))
        let from = try reader.integer(UInt64.self)
        let to = try reader.integer(UInt64.self)
        events = try reader.integer(UInt64.self)
        reason = try reader.text()
        guard let resource, let cause, index < Limits.workersPerResourceMax, from < to else {
            throw TraceError(.corrupt, "A verdict record is out of shape")
        }
        worker = WorkerName(resource: resource, index: index)
        self.cause = cause
        range = from..<to
    }
}

/// A dead letter, named after its worker, first LSN and cause. Its files are in `deadletters/`.
///
/// `<name>.pbs` contains the events as `TraceBatch` messages, each preceded by its length as a varint: the events'
/// bytes as received, with the host they came from. `<name>.json` describes them; it has this name only once the
/// verdict is in the log. `<name>.replayed` exists once the batches were sent again.
package struct DeadLetterName: Hashable, Sendable, CustomStringConvertible {
    package let worker: WorkerName
    package let from: LSN
    package let cause: VerdictPayload.Cause

    package init(worker: WorkerName, from: LSN, cause: VerdictPayload.Cause) {
        self.worker = worker
        self.from = from
        self.cause = cause
    }

    /// Creates the name of a verdict's dead letter.
    package init(_ verdict: VerdictPayload) {
        self.init(worker: verdict.worker, from: verdict.range.lowerBound, cause: verdict.cause)
    }

    /// Parses `function.0-4711-crash`; nil if the text is not a dead letter's name.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let worker = WorkerName(String(parts[0])), let from = LSN(parts[1]),
            let cause = VerdictPayload.Cause(name: parts[2])
        else { return nil }
        self.init(worker: worker, from: from, cause: cause)
        // Another spelling of the number would be a second name of the same dead letter.
        guard description == text else { return nil }
    }

    package var description: String { "\(worker)-\(from)-\(cause.name)" }

    package static let sidecarSuffix = ".json"
    package static let pendingSuffix = ".json.pending"

    package var batches: String { "\(ClusterPaths.deadLetters)/\(self).pbs" }
    package var sidecar: String { "\(ClusterPaths.deadLetters)/\(self)\(Self.sidecarSuffix)" }
    /// Name of the description before the verdict is in the log.
    package var pendingSidecar: String {
        "\(ClusterPaths.deadLetters)/\(self)\(Self.pendingSuffix)"
    }
    package var replayedMark: String { "\(ClusterPaths.deadLetters)/\(self).replayed" }
}
