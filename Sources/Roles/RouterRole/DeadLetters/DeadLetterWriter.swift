import IngestLog
import SystemIO
import TraceModel

/// Writes one dead letter: collects events into batches by host, and adds a description at the end. Keeps one batch in
/// memory. Blocks on the disk.
struct DeadLetterWriter: ~Copyable {
    private let name: DeadLetterName
    private let file: File
    private var offset = 0
    private var checksum: UInt32 = 0
    private var batch = RawBuffer(capacity: 64 << 10)
    private var host: [UInt8] = []
    private var semantics = Semantics.cumulative

    private(set) var events: UInt64 = 0
    /// Those of `events` that are already counted as written.
    private(set) var uncounted: UInt64 = 0
    private var batches = 0
    private var hosts: [String] = []
    private var arrivals: ClosedRange<EpochNanoseconds>?

    /// Creates the letter's file, replacing one of an earlier attempt.
    init(_ name: DeadLetterName) throws(SystemError) {
        self.name = name
        try FileSystem.createDirectory(ClusterPaths.deadLetters)
        file = try File(name.batches, .replace)
    }

    /// Begins a record whose events come from `host`; `semantics` is the meaning of their fields.
    mutating func begin(
        host next: UnsafeRawBufferPointer,
        semantics nextSemantics: Semantics,
        arrival: EpochNanoseconds
    ) throws(SystemError) {
        if unsafe !host.elementsEqual(next) || semantics != nextSemantics {
            try flush()
            host = unsafe Array(next)
            semantics = nextSemantics
        }
        let first = arrivals?.lowerBound ?? arrival
        arrivals = min(first, arrival)...max(arrivals?.upperBound ?? arrival, arrival)
        let text = unsafe String(decoding: next, as: UTF8.self)
        // Compared as bytes, because different names can be equal as text.
        let isNamed = hosts.contains { $0.utf8.elementsEqual(text.utf8) }
        if hosts.count < Limits.letterHostsMax, !isNamed { hosts.append(text) }
    }

    /// Adds an event: tag, length and payload as received. `counts` tells whether it counts as dead-lettered.
    mutating func add(_ event: UnsafeRawBufferPointer, counts: Bool) throws(SystemError) {
        if batch.count + event.count > Limits.letterBatchBytesMax { try flush() }
        unsafe batch.append(event)
        events += 1
        if !counts { uncounted += 1 }
    }

    /// Adds a name received with the events; it is not counted.
    mutating func add(name: UnsafeRawBufferPointer) throws(SystemError) {
        if batch.count + name.count > Limits.letterBatchBytesMax { try flush() }
        unsafe batch.append(name)
    }

    /// Writes the collected batch with its host and semantics.
    private mutating func flush() throws(SystemError) {
        guard batch.count > 0 else { return }
        // The field `host` of `TraceBatch`, length-delimited.
        batch.append(varint: 103 << 3 | 2)
        batch.append(varint: UInt64(host.count))
        unsafe host.withUnsafeBytes { unsafe batch.append($0) }
        // The field `semantics` of `TraceBatch`.
        batch.append(varint: 104 << 3)
        batch.append(varint: UInt64(semantics.rawValue))
        var prefix = RawBuffer(capacity: 16)
        prefix.append(varint: UInt64(batch.count))
        try unsafe write(prefix.bytes)
        try unsafe write(batch.bytes)
        batch.removeAll()
        batches += 1
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        try unsafe file.write(bytes, at: offset)
        offset += bytes.count
        checksum = unsafe Checksum.crc32c(bytes, after: checksum)
    }

    /// Makes the letter durable, with a sidecar whose name says that the letter does not count yet.
    mutating func finish(as verdict: VerdictPayload) throws(SystemError) {
        try flush()
        try file.syncData()
        let text = Array(sidecar(of: verdict).utf8)
        var failure: SystemError?
        unsafe text.withUnsafeBytes { bytes in
            do throws(SystemError) {
                try unsafe FileSystem.publish(name.pendingSidecar, bytes)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func sidecar(of verdict: VerdictPayload) -> String {
        let names = hosts.map { Self.quoted($0) }.joined(separator: ", ")
        return """
            {
              "format": 1,
              "worker": "\(verdict.worker)",
              "resource": "\(verdict.worker.resource.name)",
              "cause": "\(verdict.cause.name)",
              "reason": \(Self.quoted(verdict.reason)),
              "from_lsn": \(verdict.range.lowerBound),
              "to_lsn": \(verdict.range.upperBound),
              "events": \(events),
              "batches": \(batches),
              "bytes": \(offset),
              "crc32c": \(checksum),
              "hosts": [\(names)],
              "first_arrival_ns": \(arrivals?.lowerBound ?? 0),
              "last_arrival_ns": \(arrivals?.upperBound ?? 0)
            }

            """
    }

    /// Returns the text as a JSON string.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                quoted += "\\"
                quoted.unicodeScalars.append(scalar)
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
