import IngestLog
import Synchronization
import SystemIO
import TraceMetrics
import TraceModel

/// Stores the merged metrics: a snapshot of the whole store, and a journal of messages since. Metrics are saved
/// before they are shown, so that no counter that was shown once decreases after a crash.
///
/// Store and journal are kept twice: a damaged byte in one of the four files loses nothing. Each file is written
/// before its mirror, and the journal's files after both copies of the store.
///
/// The store's file: magic "TRMT", CRC-32C of everything after it u32, generation u64, then the store. The
/// journal's format is described in MetricJournal.swift.
final class MetricArchive: Sendable {
    /// Damage that `load` found.
    struct Damage {
        /// Effect on the counts, for the log.
        let effect: String
        let why: String
    }

    /// The open files and their sizes.
    private struct State: ~Copyable {
        var generation: UInt64 = 0
        /// The journal; nil if the next `save` has to write the whole store.
        var journal: File?
        var mirror: File?
        var journalBytes = 0
        var storeBytes = 0
    }

    private static let magic: UInt32 = 0x544D_5254
    private static let headBytes = 16

    private let limits: SeriesLimits
    private let store: String
    private let journal: String
    private let state = Mutex(State())

    /// Creates the archive. The store that `load` returns has these `limits`.
    init(
        limits: SeriesLimits = SeriesLimits(),
        store: String = AggregatorPaths.metrics,
        journal: String = AggregatorPaths.metricJournal
    ) {
        self.limits = limits
        self.store = store
        self.journal = journal
    }

    /// Saves the changes since the last call. Blocks until they are on disk.
    /// - Throws: If a file cannot be written; the next call then saves the whole store.
    func save(_ shared: SharedState) throws {
        try state.withLock { state in
            let isWhole = Self.needsStore(state)
            let bytes = shared.withLock { content in
                let records = content.journal.take()
                guard isWhole else { return records }
                return content.store.encoded(behind: [UInt8](repeating: 0, count: Self.headBytes))
            }
            do {
                if isWhole {
                    try begin(with: bytes, &state)
                } else if !bytes.isEmpty {
                    try Self.append(bytes, &state)
                }
            } catch {
                state.journal = nil
                state.mirror = nil
                throw error
            }
        }
    }

    private static func needsStore(_ state: borrowing State) -> Bool {
        guard state.journal != nil else { return true }
        return state.journalBytes > max(Limits.metricJournalBytesMin, 2 * state.storeBytes)
    }

    private static func append(_ bytes: [UInt8], _ state: inout State) throws {
        try unsafe bytes.withUnsafeBytes {
            try unsafe state.journal?.write($0, at: state.journalBytes)
        }
        try unsafe bytes.withUnsafeBytes {
            try unsafe state.mirror?.write($0, at: state.journalBytes)
        }
        try state.journal?.syncData()
        try state.mirror?.syncData()
        state.journalBytes += bytes.count
    }

    /// Writes the store and then an empty journal, because a journal of another store is ignored. `saved` begins
    /// with space for the head.
    private func begin(with saved: consuming [UInt8], _ state: inout State) throws {
        try FileSystem.createDirectory(FileSystem.parent(of: store))
        state.journal = nil
        state.mirror = nil
        state.generation += 1
        let generation = state.generation
        try unsafe saved.withUnsafeMutableBytes { bytes in
            unsafe bytes.storeBytes(of: Self.magic.littleEndian, as: UInt32.self)
            unsafe bytes.storeBytes(of: generation.littleEndian, toByteOffset: 8, as: UInt64.self)
            let sum = unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[8...]))
            unsafe bytes.storeBytes(of: sum.littleEndian, toByteOffset: 4, as: UInt32.self)
            try unsafe FileSystem.publish(store, UnsafeRawBufferPointer(bytes))
            try unsafe FileSystem.publish(
                AggregatorPaths.mirror(of: store),
                UnsafeRawBufferPointer(bytes)
            )
        }
        state.storeBytes = saved.count
        let head = MetricJournal(generation: state.generation).bytes
        let file = try File(journal, .replace)
        try unsafe head.withUnsafeBytes { try unsafe file.write($0, at: 0) }
        try file.syncData()
        let mirror = try File(AggregatorPaths.mirror(of: journal), .replace)
        try unsafe head.withUnsafeBytes { try unsafe mirror.write($0, at: 0) }
        try mirror.syncData()
        state.journal = consume file
        state.mirror = consume mirror
        state.journalBytes = head.count
    }

    // MARK: Loading

    /// Returns the saved store, or an empty one if no copy is sound; the store has counted the damage. All
    /// processes count as down until they send a message. To be called before the first `save`.
    func load() throws -> (store: MetricStore, damage: Damage?) {
        var failure: TraceError?
        var saved: (store: MetricStore, generation: UInt64)?
        let copies = [store, AggregatorPaths.mirror(of: store)].filter { FileSystem.exists($0) }
        for copy in copies where saved == nil {
            do {
                let bytes = try FileSystem.contents(copy)
                let (store, generation) = try unsafe bytes.withUnsafeBytes {
                    (bytes) throws(TraceError) in
                    try unsafe Self.read(bytes)
                }
                saved = (store, generation)
            } catch let error as TraceError where error.code == .corrupt { failure = error }
        }
        guard let saved else { return try begunAnew(because: failure) }
        var metrics = saved.store
        let records = try [journal, AggregatorPaths.mirror(of: journal)].map {
            FileSystem.exists($0) ? try FileSystem.contents($0) : []
        }
        let replay = unsafe records[0].withUnsafeBytes { first in
            unsafe records[1].withUnsafeBytes { second in
                unsafe MetricJournal.replay(
                    [first, second],
                    after: saved.generation,
                    into: &metrics
                )
            }
        }
        // The limits change only after the replay, because the journal's messages were applied under the earlier
        // limits.
        metrics.adopt(limits)
        for process in metrics.processes.keys { metrics.declareDown(process) }
        state.withLock { $0.generation = saved.generation }
        if failure != nil || replay != .whole { metrics.count(.aggregatorStateDamaged) }
        if replay == .lost {
            return (
                metrics,
                Damage(
                    effect: "the journal of the metrics was damaged; counts may have gone back",
                    why: "no copy of \(journal) is sound"
                )
            )
        }
        guard failure != nil || replay == .healed else { return (metrics, nil) }
        return (
            metrics,
            Damage(
                effect: "a copy of the saved metrics was damaged; the other one was used",
                why: failure.map { "\($0)" } ?? "a record of \(journal) is damaged"
            )
        )
    }

    private func begunAnew(because failure: TraceError?) throws -> (MetricStore, Damage?) {
        var metrics = MetricStore(limits: limits)
        guard let failure else { return (metrics, nil) }
        if FileSystem.exists(store) {
            try FileSystem.rename(store, to: AggregatorPaths.damaged(store))
        }
        metrics.count(.aggregatorStateDamaged)
        return (
            metrics, Damage(effect: "saved metrics were damaged, counting anew", why: "\(failure)")
        )
    }

    private static func read(
        _ bytes: UnsafeRawBufferPointer
    ) throws(TraceError) -> (MetricStore, generation: UInt64) {
        var reader = unsafe StateReader(bytes)
        guard try reader.integer(UInt32.self) == magic,
            try unsafe reader.integer(UInt32.self)
                == Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(8)))
        else { throw TraceError(.corrupt, "the saved metrics are damaged") }
        let generation = try reader.integer(UInt64.self)
        let store = try unsafe MetricStore(decoding: Array(try reader.bytes(reader.remaining)))
        return (store, generation)
    }
}
