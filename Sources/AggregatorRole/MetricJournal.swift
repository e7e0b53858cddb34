import ClusterMessages
import SystemIO
import TraceMetrics
import TraceModel

// Journal of the metrics
// ======================
//
// Records one after the other, little-endian: length of the rest u32, CRC-32C of the rest u32, kind u8, then
//
//   0  generation u64: the first record; the saved store that the others follow on has the same
//   1  a message as it came over the fabric
//   2  a loss that the aggregator counted: how many u64, then its name
//   3  nothing: the histograms that have counted most were chosen
//
// What ends early or has another sum ends the journal: it was never shown.

/// What the store has taken in since it was saved, as records to be appended to the journal.
struct MetricJournal: Sendable {
    private enum Kind: UInt8 {
        case generation = 0
        case message = 1
        case loss = 2
        case choice = 3
    }

    private(set) var bytes: [UInt8] = []

    init() {}

    /// The beginning of a file.
    init(generation: UInt64) { append(.generation, Self.encoded(generation)) }

    // MARK: Writing

    mutating func append(message: UnsafeRawBufferPointer) { append(.message, message) }

    mutating func append(_ loss: LossKind, _ count: UInt64) {
        append(.loss, Self.encoded(count) + Array(loss.rawValue.utf8))
    }

    /// The store has chosen other histograms.
    mutating func appendChoice() { append(.choice, [UInt8]()) }

    /// What has been written, which is forgotten here.
    mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    private mutating func append(_ kind: Kind, _ body: [UInt8]) {
        body.withUnsafeBytes { append(kind, $0) }
    }

    private mutating func append(_ kind: Kind, _ body: UnsafeRawBufferPointer) {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: 8))
        bytes.append(kind.rawValue)
        bytes.append(contentsOf: body)
        bytes.withUnsafeMutableBytes { buffer in
            let rest = UnsafeRawBufferPointer(rebasing: buffer[(start + 8)...])
            let length = UInt32(rest.count)
            let sum = Checksum.crc32c(rest)
            buffer.storeBytes(of: length.littleEndian, toByteOffset: start, as: UInt32.self)
            buffer.storeBytes(of: sum.littleEndian, toByteOffset: start + 4, as: UInt32.self)
        }
    }

    private static func encoded(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    // MARK: Reading

    /// Gives the store everything that follows on what it is: the one that was saved as `generation`.
    static func replay(
        _ bytes: UnsafeRawBufferPointer,
        after generation: UInt64,
        into store: inout MetricStore
    ) {
        var at = 0
        var isFirst = true
        while bytes.count - at > 8 {
            let head = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
            let length = Int(head & 0xFFFF_FFFF)
            guard length > 0, length <= bytes.count - at - 8 else { return }
            let rest = UnsafeRawBufferPointer(rebasing: bytes[(at + 8)..<(at + 8 + length)])
            guard Checksum.crc32c(rest) == UInt32(head >> 32) else { return }
            let body = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
            if isFirst, Kind(rawValue: rest[0]) != .generation { return }
            isFirst = false
            switch Kind(rawValue: rest[0]) {
            case .generation:
                guard number(body) == generation else { return }
            case .message: apply(body, to: &store)
            case .loss: count(body, in: &store)
            case .choice: _ = store.chooseHistograms()
            case nil: return
            }
            at += 8 + length
        }
    }

    /// A message was taken when it came, so it is taken again.
    private static func apply(_ message: UnsafeRawBufferPointer, to store: inout MetricStore) {
        switch try? ClusterMessage(decoding: message) {
        case .metricSnapshot(let snapshot): try? store.apply(snapshot)
        case .metricSeries(let series): _ = try? store.apply(series)
        default: break
        }
    }

    private static func count(_ body: UnsafeRawBufferPointer, in store: inout MetricStore) {
        guard let amount = number(body) else { return }
        let name = String(decoding: body.dropFirst(8), as: UTF8.self)
        if let loss = LossKind(rawValue: name) { store.count(loss, amount) }
    }

    private static func number(_ body: UnsafeRawBufferPointer) -> UInt64? {
        guard body.count >= 8 else { return nil }
        return UInt64(littleEndian: body.loadUnaligned(as: UInt64.self))
    }
}
