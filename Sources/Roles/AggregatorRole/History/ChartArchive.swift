import SystemIO
import TraceMetrics
import TraceModel

// Files of the charts' points
// ===========================
//
// `history/1s-<n>.points` has the points of one hour at 1 s, `history/10s-<n>.points` those of six hours at 10 s; `n` is the
// Unix time of its begin over its length. Records follow one another, little-endian: length of the block u32,
// CRC-32C of the block u32, block (`ChartHistory.block`). What follows a record that is cut off or has a wrong
// checksum is not used, and overwritten.
//
// The files are not synced: after a power loss, the last points may be missing.

/// Stores the charts' points, so that they survive a restart. Used by one thread.
struct ChartArchive {
    /// What was wrong with a file, for the log.
    struct Damage {
        let path: String
        let why: String
    }

    private static let headBytes = 8

    private let directory: String

    init(directory: String = AggregatorPaths.history) { self.directory = directory }

    /// The seconds that a file covers, and how many files are kept.
    private static func files(of resolution: ChartHistory.Resolution) -> (span: Int64, kept: Int64)
    {
        let span: Int64 = resolution == .second ? 3_600 : 21_600
        return (span, resolution.span / span + 1)
    }

    private static func prefix(of resolution: ChartHistory.Resolution) -> String {
        "\(resolution.seconds)s-"
    }

    private func path(_ resolution: ChartHistory.Resolution, _ number: Int64) -> String {
        "\(directory)/\(Self.prefix(of: resolution))\(number).points"
    }

    /// The size of the current file of each resolution.
    private var sizes: [ChartHistory.Resolution: (number: Int64, bytes: Int)] = [:]
    /// The second behind the last saved point.
    private var savedUntil: Int64 = 0

    /// Returns the stored points, and what is wrong with the files. Blocks.
    mutating func load() -> (history: ChartHistory, damages: [Damage]) {
        var history = ChartHistory()
        var damages: [Damage] = []
        // The coarse points cover a day, so that they come first.
        for resolution in [ChartHistory.Resolution.tenSeconds, .second] {
            for number in numbers(of: resolution) {
                let path = self.path(resolution, number)
                do {
                    let (bytes, failure) = try Self.restore(path, into: &history)
                    sizes[resolution] = (number, bytes)
                    if let failure { damages.append(Damage(path: path, why: "\(failure)")) }
                } catch { damages.append(Damage(path: path, why: "\(error)")) }
            }
        }
        savedUntil = history.second + 1
        return (history, damages)
    }

    /// Returns the numbers of the files in order.
    private func numbers(of resolution: ChartHistory.Resolution) -> [Int64] {
        let prefix = Self.prefix(of: resolution)
        let names = (try? FileSystem.list(directory)) ?? []
        return names.compactMap { name in
            guard name.hasPrefix(prefix), name.hasSuffix(".points") else { return nil }
            return Int64(name.dropFirst(prefix.count).dropLast(".points".count))
        }.sorted()
    }

    /// Returns the bytes that are sound, and why the rest is not.
    private static func restore(
        _ path: String,
        into history: inout ChartHistory
    ) throws -> (bytes: Int, failure: TraceError?) {
        let contents = try FileSystem.contents(path)
        return unsafe contents.withUnsafeBytes { bytes in
            var reader = unsafe StateReader(bytes)
            var sound = 0
            do throws(TraceError) {
                while !reader.isAtEnd {
                    let length = Int(try reader.integer(UInt32.self))
                    let sum = try reader.integer(UInt32.self)
                    let block = unsafe try reader.bytes(length)
                    guard unsafe Checksum.crc32c(block) == sum else {
                        throw TraceError(.corrupt, "a record has a wrong checksum")
                    }
                    unsafe try history.restore(block)
                    sound += headBytes + length
                }
                return (sound, nil)
            } catch { return (sound, error) }
        }
    }

    /// Appends the points since the last call to the files, and removes files that are too old. Blocks.
    /// - Throws: Where a file can't be written; the points then are in no file.
    mutating func save(_ history: ChartHistory) throws(SystemError) {
        let end = history.second + 1
        defer { savedUntil = end }
        // After a clock was set back there is nothing to append: the points of that time are stored already. After a
        // start, there are no points in the time before.
        let begin = max(savedUntil, end - 2 * Limits.chartSavingSeconds)
        guard begin < end else { return }
        try FileSystem.createDirectory(directory)
        for resolution in ChartHistory.Resolution.allCases {
            // Only whole intervals, so that none is stored twice.
            let first = begin / resolution.seconds
            let last = end / resolution.seconds - 1
            guard first <= last else { continue }
            try append(
                history.block(
                    resolution,
                    from: first * resolution.seconds,
                    count: Int(last - first) + 1
                ),
                resolution,
                number: last * resolution.seconds / Self.files(of: resolution).span
            )
        }
    }

    private mutating func append(
        _ block: [UInt8],
        _ resolution: ChartHistory.Resolution,
        number: Int64
    ) throws(SystemError) {
        let path = self.path(resolution, number)
        if sizes[resolution]?.number != number { sizes[resolution] = (number, 0) }
        let at = sizes[resolution]?.bytes ?? 0
        var record = RawBuffer(capacity: Self.headBytes + block.count)
        record.append(integer: UInt32(block.count))
        record.append(integer: unsafe block.withUnsafeBytes { unsafe Checksum.crc32c($0) })
        unsafe block.withUnsafeBytes { unsafe record.append($0) }
        let file = try File(path, at == 0 ? .replace : .readWrite)
        try unsafe file.write(record.bytes, at: at)
        try file.truncate(to: at + record.count)
        sizes[resolution] = (number, at + record.count)
        let oldest = number - Self.files(of: resolution).kept
        for old in numbers(of: resolution) where old < oldest || old > number {
            try FileSystem.remove(self.path(resolution, old))
        }
    }
}
