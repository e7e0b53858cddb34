package import SystemIO
package import TraceModel

/// The body of a verdict record: from where to where one worker's events are left out, as they lie in a
/// dead letter instead. Applies to batches that begin in the range; barriers and ticks reach the worker.
///
/// Layout, little-endian: resource u8, cause u8, index of the worker u16, from u64, to u64, events u64,
/// length of the reason u32, reason.
package struct VerdictPayload: Equatable, Sendable {
    /// Why events are set aside. Raw values are on disk.
    package enum Cause: UInt8, Sendable {
        /// The record has ended its worker too often.
        case crash = 1
        /// An operator's `tracectl skip`.
        case skip = 2

        /// The word in the names of dead letters.
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

    /// Who owned the events' slots under the map in force at each record.
    package let worker: WorkerName
    package let cause: Cause
    package let range: Range<LSN>
    package let events: UInt64
    /// In words for the operator.
    package let reason: String

    package init(worker: WorkerName, cause: Cause, range: Range<LSN>, events: UInt64, reason: String) {
        self.worker = worker
        self.cause = cause
        self.range = range
        self.events = events
        self.reason = reason
    }

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: worker.resource.rawValue)
        buffer.append(byte: cause.rawValue)
        buffer.append(integer: UInt16(worker.index))
        buffer.append(integer: range.lowerBound)
        buffer.append(integer: range.upperBound)
        buffer.append(integer: events)
        buffer.append(counted: reason)
    }

    /// - Throws: `TraceError(.corrupt)` where the bytes are no verdict.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = StateReader(bytes)
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

/// One dead letter: which worker's events, from which LSN on, and why. Its files lie in `deadletters/`.
///
/// `<name>.pbs` holds the events as `TraceBatch` messages, each with its length as a varint before it: the
/// events' bytes as they came, with the host they came from. `<name>.json` says what they are; it stands
/// under this name only once the verdict is in the log. `<name>.replayed` stands once the batches were sent
/// again.
package struct DeadLetterName: Hashable, Sendable, CustomStringConvertible {
    package let worker: WorkerName
    package let from: LSN
    package let cause: VerdictPayload.Cause

    package init(worker: WorkerName, from: LSN, cause: VerdictPayload.Cause) {
        self.worker = worker
        self.from = from
        self.cause = cause
    }

    /// The letter behind a verdict.
    package init(_ verdict: VerdictPayload) {
        self.init(worker: verdict.worker, from: verdict.range.lowerBound, cause: verdict.cause)
    }

    /// Reads `function.0-4711-crash`; nil where the text is no letter's name.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let worker = WorkerName(String(parts[0])), let from = LSN(parts[1]),
            let cause = VerdictPayload.Cause(name: parts[2])
        else { return nil }
        self.init(worker: worker, from: from, cause: cause)
        // Another way to write the number would be a second name of one letter.
        guard description == text else { return nil }
    }

    package var description: String { "\(worker)-\(from)-\(cause.name)" }

    package static let sidecarSuffix = ".json"
    package static let pendingSuffix = ".json.pending"

    package var batches: String { "\(ClusterPaths.deadLetters)/\(self).pbs" }
    package var sidecar: String { "\(ClusterPaths.deadLetters)/\(self)\(Self.sidecarSuffix)" }
    /// The sidecar while no verdict says that the letter counts.
    package var pendingSidecar: String { "\(ClusterPaths.deadLetters)/\(self)\(Self.pendingSuffix)" }
    package var replayedMark: String { "\(ClusterPaths.deadLetters)/\(self).replayed" }
}
