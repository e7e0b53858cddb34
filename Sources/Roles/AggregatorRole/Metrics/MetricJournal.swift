import ClusterMessages
import SystemIO
import TraceMetrics
import TraceModel

// Journal of the metrics
// ======================
//
// Records follow one another, little-endian: length of the rest u32, CRC-32C of the rest u32, kind u8, then
//
//   0  generation u64: the first record; equals the generation of the saved store that the records extend
//   1  a message as received over the fabric
//   2  a loss that the aggregator counted: its count u64, then its name
//   3  nothing: the histograms with the highest counts were chosen
//
// Two files have the same records at the same offsets; a record that is damaged in one file is taken from the
// other. A record that is incomplete or has a wrong checksum in both files ends the journal: its content was never
// shown.

/// Records of the store's changes since it was saved, to be appended to the journal.
struct MetricJournal: Sendable {
    /// Kinds of records.
    private enum Kind: UInt8 {
        case generation = 0
        case message = 1
        case loss = 2
        case choice = 3
    }

    private(set) var bytes: [UInt8] = []

    init() {}

    /// Creates the records at the begin of a file.
    init(generation: UInt64) { append(.generation, Self.encoded(generation)) }

    // MARK: Writing

    mutating func append(message: UnsafeRawBufferPointer) { unsafe append(.message, message) }

    mutating func append(_ loss: LossKind, _ count: UInt64) {
        append(.loss, Self.encoded(count) + Array(loss.rawValue.utf8))
    }

    /// Appends that the store has chosen its histograms again.
    mutating func appendChoice() { append(.choice, [UInt8]()) }

    /// Returns the collected records and removes them.
    mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    private mutating func append(_ kind: Kind, _ body: [UInt8]) {
        unsafe body.withUnsafeBytes { unsafe append(kind, $0) }
    }

    private mutating func append(_ kind: Kind, _ body: UnsafeRawBufferPointer) {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: 8))
        bytes.append(kind.rawValue)
        unsafe bytes.append(contentsOf: body)
        unsafe bytes.withUnsafeMutableBytes { buffer in
            let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[(start + 8)...])
            let length = UInt32(rest.count)
            let sum = unsafe Checksum.crc32c(rest)
            unsafe buffer.storeBytes(of: length.littleEndian, toByteOffset: start, as: UInt32.self)
            unsafe buffer.storeBytes(of: sum.littleEndian, toByteOffset: start + 4, as: UInt32.self)
        }
    }

    private static func encoded(_ number: UInt64) -> [UInt8] {
        unsafe withUnsafeBytes(of: number.littleEndian) { unsafe Array($0) }
    }

    // MARK: Reading

    /// The result of a replay.
    enum Replay: Equatable {
        case whole
        /// One copy was damaged before its end.
        case healed
        /// Sound records follow one that is damaged in every copy.
        case lost
    }

    /// Applies the journal's records to the store that was saved as `generation`.
    static func replay(
        _ copies: [UnsafeRawBufferPointer],
        after generation: UInt64,
        into store: inout MetricStore
    ) -> Replay {
        // A copy of another generation is left by a crash before the file was begun anew.
        let copies = unsafe copies.filter { copy in
            guard let first = unsafe record(at: 0, in: copy) else { return true }
            return unsafe first[0] == Kind.generation.rawValue
                && number(UnsafeRawBufferPointer(rebasing: first.dropFirst())) == generation
        }
        var at = 0
        var isHealed = false
        while true {
            let found = unsafe copies.map { unsafe record(at: at, in: $0) }
            guard let rest = unsafe found.lazy.compactMap({ unsafe $0 }).first,
                let kind = unsafe Kind(rawValue: rest[0]),
                at > 0 || kind == .generation
            else { break }
            at += 8 + rest.count
            for index in unsafe found.indices
            where unsafe found[index] == nil && copies[index].count > at {
                isHealed = true
            }
            let body = unsafe UnsafeRawBufferPointer(rebasing: rest.dropFirst())
            switch kind {
            case .generation: break
            case .message: unsafe apply(body, to: &store)
            case .loss: unsafe count(body, in: &store)
            case .choice: _ = store.chooseHistograms()
            }
        }
        if unsafe copies.contains(where: { unsafe hasRecord(behind: at, in: $0) }) { return .lost }
        return isHealed ? .healed : .whole
    }

    /// Returns the record at `at` without length and checksum; nil if there is no sound one.
    private static func record(at: Int, in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer?
    {
        guard bytes.count - at > 8 else { return nil }
        let head = unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
        let length = Int(head & 0xFFFF_FFFF)
        guard length > 0, length <= bytes.count - at - 8 else { return nil }
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[(at + 8)..<(at + 8 + length)])
        return unsafe Checksum.crc32c(rest) == UInt32(head >> 32) ? rest : nil
    }

    /// Whether a sound record begins anywhere behind `at`; then the bytes at `at` are damaged, not a torn end.
    private static func hasRecord(behind at: Int, in bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count - at > 9 else { return false }
        return ((at + 1)..<(bytes.count - 8)).contains { place in
            // The kind excludes most offsets cheaply.
            unsafe Kind(rawValue: bytes[place + 8]) != nil && record(at: place, in: bytes) != nil
        }
    }

    /// Applies a message again. It cannot be refused, because it was accepted when it was received.
    private static func apply(_ message: UnsafeRawBufferPointer, to store: inout MetricStore) {
        switch try? unsafe ClusterMessage(decoding: message) {
        case .metricSnapshot(let snapshot): try? store.apply(snapshot)
        case .metricSeries(let series): _ = try? store.apply(series)
        default: break
        }
    }

    private static func count(_ body: UnsafeRawBufferPointer, in store: inout MetricStore) {
        guard let amount = unsafe number(body) else { return }
        let name = unsafe String(decoding: body.dropFirst(8), as: UTF8.self)
        if let loss = LossKind(rawValue: name) { store.count(loss, amount) }
    }

    private static func number(_ body: UnsafeRawBufferPointer) -> UInt64? {
        guard body.count >= 8 else { return nil }
        return unsafe UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    }
}
