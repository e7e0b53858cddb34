import TraceModel

/// One output to be made: its runs in the order that decides between equal keys.
struct MergeInput {
    struct Run {
        /// Below the data directory.
        var path: String
        var rows: UInt64
        var bytes: UInt64
        var firstTs: EpochNanoseconds
        /// As `ClosedRun`'s.
        var checksum: UInt32?
    }

    let kind: OutputKind
    let host: String
    var runs: [Run]

    var rows: UInt64 { runs.reduce(0) { $0 + $1.rows } }
    var firstTs: EpochNanoseconds { runs.map(\.firstTs).min() ?? 0 }

    /// The runs of several workers, one input for each output, in a fixed order.
    static func group(_ files: [ClosedFile]) -> [MergeInput] {
        // By the hosts' bytes: as text, names that are written differently can be equal.
        var groups: [OutputKind: [[UInt8]: [ClosedFile]]] = [:]
        for file in files { groups[file.kind, default: [:]][Array(file.host.utf8), default: []].append(file) }
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
            Run(path: $0.path, rows: $0.rows, bytes: $0.bytes, firstTs: $0.firstTs, checksum: $0.checksum)
        }
    }
}
