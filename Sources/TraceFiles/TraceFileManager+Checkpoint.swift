package import SystemIO
package import TraceModel

// What a checkpoint knows of the files, and how files become what it knows.
extension TraceFileManager {
    private static let stateVersion: UInt32 = 1

    /// Appends names, lengths and positions of all runs. Only after `flush(.all)` and `sync()`.
    package func saveOffsets(into state: inout RawBuffer) {
        precondition(buffers.allSatisfy(\.isEmpty), "rows wait that a checkpoint would lose")
        state.append(integer: Self.stateVersion)
        state.append(integer: window)
        state.append(integer: store.nextSerial)
        state.append(integer: store.order)
        state.append(integer: UInt32(hosts.hosts.count))
        for host in hosts.hosts {
            state.append(counted: host.name)
            state.append(integer: UInt8(host.isThisMachine ? 1 : 0))
        }
        let open = buffers.filter { !$0.runs.isEmpty || !$0.names.isEmpty }
        state.append(integer: UInt32(open.count))
        for buffer in open {
            state.append(integer: buffer.kind.rawValue)
            state.append(integer: buffer.host?.index ?? .max)
            state.append(integer: UInt8(buffer.continuesRun ? 1 : 0))
            buffer.names.encode(into: &state)
            state.append(integer: UInt32(buffer.runs.count))
            for run in buffer.runs { run.encode(into: &state) }
        }
        state.append(integer: UInt32(closedWindows.count))
        for closed in closedWindows {
            state.append(integer: closed.window)
            state.append(counted: closed.stem)
            ClosedFile.encode(closed.files, into: &state)
        }
    }

    /// Makes the files what they were at the checkpoint (nil: none): cuts runs back, removes unknown files. Host
    /// numbers are those of the checkpoint. Throws `corrupt` where the state is damaged or a file is shorter
    /// than the checkpoint says. Blocks.
    package func restore(from state: ByteView?) throws(TraceError) {
        precondition(hosts.hosts.isEmpty && closedWindows.isEmpty, "restore comes first")
        if let state { try decode(state) }
        do throws(SystemError) {
            try removeUnknownFiles()
            for buffer in buffers {
                for run in buffer.runs { try reopen(run, kind: buffer.kind) }
            }
            try store.sync()
        } catch {
            throw TraceError(.system, "cannot restore the segments of \(worker)", cause: error)
        }
    }

    private func decode(_ bytes: ByteView) throws(TraceError) {
        var state = StateReader(bytes)
        guard try state.integer(UInt32.self) == Self.stateVersion else { throw damaged() }
        window = try state.integer(UInt64.self)
        store.nextSerial = try state.integer(UInt64.self)
        store.order = try state.integer(UInt64.self)
        for _ in 0..<(try state.integer(UInt32.self)) {
            let name = ByteView(try state.counted())
            let isThisMachine = try state.integer(UInt8.self) != 0
            _ = try registerHost(name, isThisMachine: isThisMachine)
        }
        for _ in 0..<(try state.integer(UInt32.self)) {
            let buffer = try buffer(from: &state)
            buffer.continuesRun = try state.integer(UInt8.self) != 0
            buffer.names = try NameTable(decoding: &state)
            for _ in 0..<(try state.integer(UInt32.self)) {
                let run = try RunFile(decoding: &state)
                try check(run.path, atLeast: run.length, isNeeded: true)
                buffer.runs.append(run)
                ledger.wrote(run.length, buffer.kind)
            }
        }
        for _ in 0..<(try state.integer(UInt32.self)) {
            let window = try state.integer(UInt64.self)
            let stem = try state.text()
            let files = try ClosedFile.decode(&state)
            // A merged segment is gone; what is there must be whole.
            for run in files.flatMap(\.runs) {
                try check(run.path, atLeast: Int(clamping: run.bytes), isNeeded: false)
            }
            closedWindows.append(ClosedWindow(window: window, stem: stem, files: files))
        }
        guard state.isAtEnd else { throw damaged() }
    }

    private func buffer(from state: inout StateReader) throws(TraceError) -> RunBuffer {
        let kind = OutputKind(rawValue: try state.integer(UInt8.self))
        let host = HostID(index: try state.integer(UInt16.self))
        let isKnown = Int(host.index) < hosts.hosts.count
        switch kind {
        case .csv: return csv
        case .anomalies: return anomalies
        case .json where isKnown: return json(host)
        case .stacks where isKnown: return stackBuffer(host)
        default: throw damaged()
        }
    }

    private func check(
        _ path: String,
        atLeast length: Int,
        isNeeded: Bool
    ) throws(TraceError) {
        let size = FileSystem.size(store.absolute(path))
        if size == nil && !isNeeded { return }
        guard let size, size >= length else {
            throw TraceError(
                .corrupt,
                "segment \(path) has \(size.map { "\($0)" } ?? "no") bytes where the checkpoint of "
                    + "\(worker) says \(length)",
                remedy:
                    "Put the file back, or `tracectl skip \(worker) --to LSN` sets aside what is not"
                    + " published and lets the worker begin anew"
            )
        }
    }

    private func removeUnknownFiles() throws(SystemError) {
        let open = buffers.flatMap { $0.runs.map(\.path) }
        let closed = closedWindows.flatMap { $0.files.flatMap { $0.runs.map(\.path) } }
        let known = Set(open + closed)
        for name in try FileSystem.list(store.absolute(store.directory)) {
            let path = "\(store.directory)/\(name)"
            if !known.contains(path) { try FileSystem.remove(store.absolute(path)) }
        }
    }

    /// Undoes what came after the checkpoint: more rows, or a close, which overwrites the header and the last comma.
    private func reopen(_ run: RunFile, kind: OutputKind) throws(SystemError) {
        try store.truncate(run, to: run.length)
        guard kind == .json else { return }
        _ = try store.writeHead(of: run, kind: kind)
        var comma = RawBuffer(capacity: 16)
        comma.append(JSONSegment.separator)
        try store.write(comma.bytes, at: run.length - comma.count, to: run)
    }

    private func damaged() -> TraceError {
        TraceError(.corrupt, "the saved state of \(worker)'s trace files is damaged")
    }
}
