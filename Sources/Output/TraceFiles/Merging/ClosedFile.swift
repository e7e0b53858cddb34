package import SystemIO
package import TraceModel

/// What one worker has of one output of a closed window: at least one run, each with rows.
package struct ClosedFile: Sendable, Equatable {
    package let kind: OutputKind
    package let worker: WorkerName
    package let window: UInt64
    /// Empty where the output holds many hosts.
    package let host: String
    package let isThisMachine: Bool
    package let runs: [ClosedRun]

    package var rows: UInt64 { runs.reduce(0) { $0 + $1.rows } }
    package var bytes: UInt64 { runs.reduce(0) { $0 + $1.bytes } }
    package var firstTs: EpochNanoseconds { runs.map(\.firstTs).min() ?? 0 }
    package var lastTs: EpochNanoseconds { runs.map(\.lastTs).max() ?? 0 }

    init(kind: OutputKind, worker: WorkerName, window: UInt64, host: String, isThisMachine: Bool, runs: [ClosedRun]) {
        self.kind = kind
        self.worker = worker
        self.window = window
        self.host = host
        self.isThisMachine = isThisMachine
        self.runs = runs
    }

    /// Set in a file's kind where its runs have checksums; versions before wrote none.
    private static let summedFlag: UInt8 = 0x80

    /// The list as bytes, for announcements and checkpoints.
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

    /// Reads a list back. Throws `corrupt` for anything that `encode` doesn't write.
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
            guard let kind = OutputKind(rawValue: code & ~summedFlag), let worker = WorkerName(try state.text()) else {
                throw damaged()
            }
            let window = try state.integer(UInt64.self)
            let host = try state.text()
            let isThisMachine = try state.integer(UInt8.self) != 0
            var runs: [ClosedRun] = []
            for _ in 0..<(try state.integer(UInt32.self)) {
                runs.append(
                    ClosedRun(
                        path: try state.text(), order: try state.integer(UInt64.self),
                        serial: try state.integer(UInt64.self), rows: try state.integer(UInt64.self),
                        bytes: try state.integer(UInt64.self), firstTs: try state.integer(Int64.self),
                        lastTs: try state.integer(Int64.self),
                        checksum: isSummed ? ClosedRun.checksum(of: try state.integer(UInt64.self)) : nil))
            }
            files.append(
                ClosedFile(
                    kind: kind, worker: worker, window: window, host: host, isThisMachine: isThisMachine, runs: runs))
        }
        return files
    }

    private static func damaged() -> TraceError { TraceError(.corrupt, "a list of closed trace files is damaged") }
}
