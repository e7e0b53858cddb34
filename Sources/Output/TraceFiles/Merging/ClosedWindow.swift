package import SystemIO
package import TraceModel

/// One finished run of a closed window, as its worker announces it.
package struct ClosedRun: Sendable, Equatable {
    /// Relative to the data directory.
    package let path: String
    /// Runs with rows of equal keys are merged in the order of (order, worker, serial).
    package let order: LSN
    package let serial: UInt64
    package let rows: UInt64
    /// The size of the file.
    package let bytes: UInt64
    package let firstTs: EpochNanoseconds
    package let lastTs: EpochNanoseconds
    /// CRC-32C of the file; of a trace without its header, which the merge may rewrite. Nil if the run was started by a
    /// version without checksums.
    package let checksum: UInt32?

    /// Encodes a checksum, or its absence, for checkpoints and announcements.
    static func encoded(_ checksum: UInt32?) -> UInt64 {
        checksum.map { 1 << 32 | UInt64($0) } ?? 0
    }

    static func checksum(of encoded: UInt64) -> UInt32? {
        encoded >> 32 == 1 ? UInt32(truncatingIfNeeded: encoded) : nil
    }
}

/// One worker's part of one output of a closed window: at least one run. Every run has rows.
package struct ClosedFile: Sendable, Equatable {
    package let kind: OutputKind
    package let worker: WorkerName
    package let window: UInt64
    /// Empty if the output contains many hosts.
    package let host: String
    package let isThisMachine: Bool
    package let runs: [ClosedRun]

    package var rows: UInt64 { runs.reduce(0) { $0 + $1.rows } }
    package var bytes: UInt64 { runs.reduce(0) { $0 + $1.bytes } }
    package var firstTs: EpochNanoseconds { runs.map(\.firstTs).min() ?? 0 }
    package var lastTs: EpochNanoseconds { runs.map(\.lastTs).max() ?? 0 }

    init(
        kind: OutputKind,
        worker: WorkerName,
        window: UInt64,
        host: String,
        isThisMachine: Bool,
        runs: [ClosedRun]
    ) {
        self.kind = kind
        self.worker = worker
        self.window = window
        self.host = host
        self.isThisMachine = isThisMachine
        self.runs = runs
    }

    /// The same, where its runs lie below a directory that stands in for the data directory.
    package func moved(below directory: String) -> ClosedFile {
        ClosedFile(
            kind: kind,
            worker: worker,
            window: window,
            host: host,
            isThisMachine: isThisMachine,
            runs: runs.map { run in
                ClosedRun(
                    path: "\(directory)/\(run.path)",
                    order: run.order,
                    serial: run.serial,
                    rows: run.rows,
                    bytes: run.bytes,
                    firstTs: run.firstTs,
                    lastTs: run.lastTs,
                    checksum: run.checksum
                )
            }
        )
    }

    /// Whether both are the same output of the same worker's window.
    private func isSameOutput(as other: ClosedFile) -> Bool {
        // Hosts by their bytes: as text, names that are written differently can be equal.
        kind == other.kind && worker == other.worker && window == other.window
            && host.utf8.elementsEqual(other.host.utf8)
    }

    /// Returns the file in `files` that is the same output and has the same rows; nil if there is none. Rows are
    /// compared by their number and by the first and last time, without reading them.
    package func counterpart(in files: [ClosedFile]) -> ClosedFile? {
        files.first { $0.isSameOutput(as: self) }.flatMap { file in
            file.rows == rows && file.firstTs == firstTs && file.lastTs == lastTs ? file : nil
        }
    }

    /// Set in the encoded kind of a file whose runs have checksums. Earlier versions did not set it.
    private static let summedFlag: UInt8 = 0x80

    /// Encodes the list for announcements and checkpoints.
    package static func encode(_ files: [ClosedFile], into state: inout RawBuffer) {
        state.append(integer: UInt32(files.count))
        for file in files {
            state.append(byte: file.kind.rawValue | summedFlag)
            state.append(counted: file.worker.description)
            state.append(integer: file.window)
            state.append(counted: file.host)
            state.append(integer: UInt8(file.isThisMachine ? 1 : 0))
            state.append(integer: UInt32(file.runs.count))
            for run in file.runs {
                state.append(counted: run.path)
                state.append(integer: run.order)
                state.append(integer: run.serial)
                state.append(integer: run.rows)
                state.append(integer: run.bytes)
                state.append(integer: run.firstTs)
                state.append(integer: run.lastTs)
                state.append(integer: ClosedRun.encoded(run.checksum))
            }
        }
    }

    /// Decodes a list. Throws `corrupt` for anything that `encode` does not produce.
    package static func decode(_ bytes: ByteView) throws(TraceError) -> [ClosedFile] {
        var state = StateReader(bytes)
        let files = try decode(&state)
        guard state.isAtEnd else { throw damaged() }
        return files
    }

    static func decode(_ state: inout StateReader) throws(TraceError) -> [ClosedFile] {
        var files: [ClosedFile] = []
        for _ in 0..<(try state.integer(UInt32.self)) {
            let code = try state.integer(UInt8.self)
            let isSummed = code & summedFlag != 0
            guard let kind = OutputKind(rawValue: code & ~summedFlag),
                let worker = WorkerName(try state.text())
            else {
                throw damaged()
            }
            let window = try state.integer(UInt64.self)
            let host = try state.text()
            let isThisMachine = try state.integer(UInt8.self) != 0
            var runs: [ClosedRun] = []
            for _ in 0..<(try state.integer(UInt32.self)) {
                runs.append(
                    ClosedRun(
                        path: try state.text(),
                        order: try state.integer(UInt64.self),
                        serial: try state.integer(UInt64.self),
                        rows: try state.integer(UInt64.self),
                        bytes: try state.integer(UInt64.self),
                        firstTs: try state.integer(Int64.self),
                        lastTs: try state.integer(Int64.self),
                        checksum: isSummed
                            ? ClosedRun.checksum(of: try state.integer(UInt64.self)) : nil
                    )
                )
            }
            files.append(
                ClosedFile(
                    kind: kind,
                    worker: worker,
                    window: window,
                    host: host,
                    isThisMachine: isThisMachine,
                    runs: runs
                )
            )
        }
        return files
    }

    private static func damaged() -> TraceError {
        TraceError(.corrupt, "a list of closed trace files is damaged")
    }
}

/// A window whose segments wait for the aggregator. Announced until the aggregator reports that it is merged.
package struct ClosedWindow: Sendable, Equatable {
    package let window: UInt64
    package let stem: String
    package let files: [ClosedFile]

    /// An upper bound of the bytes that merging the window writes.
    var mergeBytesMax: Int {
        var (bytes, stackBytes, profileBytes) = (0, 0, 0)
        for file in files {
            for run in file.runs {
                // Bounded by what a disk can hold, because the list may be damaged.
                let size = min(Int(clamping: run.bytes), 1 << 48)
                bytes += size
                if file.kind == .stacks { stackBytes += size }
                if file.kind == .profile { profileBytes += size }
            }
        }
        return OutputKind.mergeBytesMax(
            bytes: bytes,
            stackBytes: stackBytes,
            profileBytes: profileBytes
        )
    }
}

/// One output to be produced, with its runs in the order that decides between equal keys.
struct MergeInput {
    /// A run to merge.
    struct Run {
        /// Relative to the data directory.
        var path: String
        var rows: UInt64
        var bytes: UInt64
        var firstTs: EpochNanoseconds
        /// See `ClosedRun.checksum`.
        var checksum: UInt32?
    }

    let kind: OutputKind
    let host: String
    var runs: [Run]

    var rows: UInt64 { runs.reduce(0) { $0 + $1.rows } }
    var firstTs: EpochNanoseconds { runs.map(\.firstTs).min() ?? 0 }

    /// Groups the runs of several workers by output, in a fixed order.
    static func group(_ files: [ClosedFile]) -> [MergeInput] {
        // Keyed by the bytes of hosts: two strings with different bytes can be equal.
        var groups: [OutputKind: [[UInt8]: [ClosedFile]]] = [:]
        for file in files {
            groups[file.kind, default: [:]][Array(file.host.utf8), default: []].append(file)
        }
        return OutputKind.allCases.flatMap { kind in
            (groups[kind] ?? [:]).sorted { $0.key.lexicographicallyPrecedes($1.key) }.map {
                MergeInput(kind: kind, host: $0.value[0].host, files: $0.value)
            }
        }
    }

    private init(kind: OutputKind, host: String, files: [ClosedFile]) {
        self.kind = kind
        self.host = host
        let ordered = files.flatMap { file in file.runs.map { (file.worker.index, $0) } }.sorted {
            ($0.1.order, $0.0, $0.1.serial) < ($1.1.order, $1.0, $1.1.serial)
        }.map(\.1)
        runs = ordered.map {
            Run(
                path: $0.path,
                rows: $0.rows,
                bytes: $0.bytes,
                firstTs: $0.firstTs,
                checksum: $0.checksum
            )
        }
    }
}
