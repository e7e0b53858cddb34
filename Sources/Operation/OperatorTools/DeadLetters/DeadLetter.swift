package import TraceModel
import TraceWire

/// A dead letter as its sidecar file describes it.
package struct DeadLetter: Codable, Sendable {
    package let worker: String
    package let resource: String
    /// `crash` or `skip`.
    package let cause: String
    package let reason: String
    package let fromLsn: LSN
    package let toLsn: LSN
    package let events: Int
    package let batches: Int
    package let bytes: Int
    package let crc32c: UInt32
    /// The first few hosts from which the events came.
    package let hosts: [String]
    package let firstArrivalNs: Int64
    package let lastArrivalNs: Int64
    /// The letter's name, and whether its events were sent again. Neither is in the sidecar.
    package internal(set) var name: String?
    package internal(set) var replayed: Bool?

    var isReplayed: Bool { replayed ?? false }
}

/// The output of `tracectl deadletter list --json`.
package struct DeadLetterList: Encodable, Sendable {
    package let letters: [DeadLetter]

    package init(letters: [DeadLetter]) { self.letters = letters }

    /// One line for each letter, the lowest log position first.
    package var text: String {
        guard !letters.isEmpty else { return "No events have been set aside." }
        return letters.map { letter in
            let state = letter.isReplayed ? "replayed" : "set aside"
            let events = "\(Report.grouped(letter.events)) events"
            return "\(letter.name ?? "")  \(events), \(state): \(letter.reason)"
        }.joined(separator: "\n")
    }
}

/// Describes a dead letter for people: what it is, and its first events field by field.
package struct DeadLetterText {
    private let store: DeadLetterStore
    private let letter: DeadLetter

    /// How many bytes of a text field are shown.
    private static let textBytesMax = 256

    package init(_ letter: DeadLetter, in store: DeadLetterStore) {
        self.letter = letter
        self.store = store
    }

    /// Writes the description to `line`, line by line, with at most `eventsMax` events. Blocks.
    package func write(eventsMax: Int, to line: (String) -> Void) throws {
        line("letter    \(letter.name ?? "")")
        line("worker    \(letter.worker)")
        line("reason    \(letter.reason)")
        line("log       LSN \(letter.fromLsn) up to \(letter.toLsn)")
        let first = Self.seconds(letter.firstArrivalNs)
        line("arrived   \(first) to \(Self.seconds(letter.lastArrivalNs))")
        line("hosts     \(letter.hosts.joined(separator: ", "))")
        line("events    \(letter.events) in \(letter.batches) batches")
        line("state     \(letter.isReplayed ? "replayed" : "set aside")")
        guard let resource = Resource(name: letter.resource) else { return }
        var shown = 0
        try store.forEachBatch(of: letter) { batch, _ in
            unsafe batch.withUnsafeBytes { bytes in
                var payloads = unsafe EventPayloads(of: resource, in: bytes)
                while shown < eventsMax, let payload = payloads.next() {
                    line(Self.describe(payload, resource))
                    shown += 1
                }
            }
            return shown < eventsMax
        }
        if shown < letter.events { line("… and \(letter.events - shown) more") }
    }

    private static func seconds(_ nanoseconds: Int64) -> String {
        let fraction = String(nanoseconds % 1_000_000_000 / 1_000_000)
        let zeros = String(repeating: "0", count: 3 - fraction.count)
        return "\(nanoseconds / 1_000_000_000).\(zeros)\(fraction)"
    }

    private static func describe(_ payload: ByteView, _ resource: Resource) -> String {
        let event: any WireEvent =
            switch resource {
            case .function: FunctionEvent(decoding: payload)
            case .cpu: CPUEvent(decoding: payload)
            case .memory: MemoryEvent(decoding: payload)
            case .network: NetworkEvent(decoding: payload)
            case .io: IOEvent(decoding: payload)
            case .gpu: GPUEvent(decoding: payload)
            }
        let fields = Mirror(reflecting: event).children.compactMap { field -> String? in
            guard let name = field.label else { return nil }
            switch field.value {
            case let text as ByteView:
                let cut = text.cut(at: textBytesMax)
                let dots = cut.count < text.count ? "…" : ""
                return text.isEmpty ? nil : "\(name)=\(cut.string.debugDescription)\(dots)"
            case let number as any Numeric & CustomStringConvertible:
                return number.description == "0" ? nil : "\(name)=\(number)"
            case let flag as Bool: return flag ? name : nil
            case let kind as GPUEvent.Kind: return "\(name)=\(kind)"
            default: return nil
            }
        }
        return "  \(fields.joined(separator: " "))"
    }
}
