package import SystemIO
package import TraceModel

// Saving the state of the files in a checkpoint, and restoring the files to it.
extension TraceFileManager {
    private static let stateVersion: UInt32 = 3
    /// Had 16-bit host numbers and no evicted hosts.
    private static let versionBeforeGivingUp: UInt32 = 1
    /// Had no checksums of runs.
    private static let versionBeforeChecksums: UInt32 = 2
    private static let thisMachineFlag: UInt8 = 1
    private static let evictedFlag: UInt8 = 2

    /// Appends the names, lengths and sort positions of all runs. Call after `flush(.all)` and `sync()`.
    package func saveOffsets(into state: inout RawBuffer) {
        let live = liveBuffers
        precondition(live.allSatisfy(\.isEmpty), "rows wait that a checkpoint would lose")
        state.append(integer: Self.stateVersion)
        state.append(integer: window)
        state.append(integer: store.nextSerial)
        state.append(integer: store.order)
        let saved = hosts.saved
        var positions = [UInt32](repeating: .max, count: hosts.indexEnd)
        state.append(integer: UInt32(saved.count))
        for (position, host) in saved.enumerated() {
            positions[Int(host.index)] = UInt32(position)
            state.append(counted: hosts[host].name)
            state.append(
                byte: (hosts[host].isThisMachine ? Self.thisMachineFlag : 0)
                    | (hosts.isEvicted(host) ? Self.evictedFlag : 0)
            )
        }
        let open = live.filter { !$0.runs.isEmpty || !$0.names.isEmpty }
        state.append(integer: UInt32(open.count))
        for buffer in open {
            state.append(integer: buffer.kind.rawValue)
            state.append(integer: buffer.host.map { positions[Int($0.index)] } ?? .max)
            state.append(integer: UInt8(buffer.continuesRun ? 1 : 0))
            buffer.names.encode(into: &state)
            state.append(integer: UInt32(buffer.runs.count))
            for run in buffer.runs {
                // The rows of a trace do not contain a host.
                let host = buffer.kind == .json ? 0 : positions[Int(run.last.host)]
                run.encode(into: &state, host: host)
            }
        }
        state.append(integer: UInt32(closedWindows.count))
        for closed in closedWindows {
            state.append(integer: closed.window)
            state.append(counted: closed.stem)
            ClosedFile.encode(closed.files, into: &state)
        }
    }

    /// Makes the files what they were at the checkpoint (nil: none): cuts runs back, removes unknown files. Hosts
    /// are numbered anew, in the checkpoint's order. A file that is gone, or shorter than the checkpoint says, is among
    /// `damagedSegments`, and its window goes on without it. `original`: the data directory whose segments those of the open
    /// window are copied from first, nil where they are here. Throws `corrupt` where the state is damaged. Blocks.
    package func restore(
        from state: ByteView?,
        copyingFrom original: String? = nil
    ) throws(TraceError) {
        precondition(hosts.indexEnd == 0 && closedWindows.isEmpty, "restore comes first")
        if let state { try decode(state, copyingFrom: original) }
        do throws(SystemError) {
            try removeUnknownFiles()
            try forEachLive { buffer throws(SystemError) in
                for run in buffer.runs where !run.isDamaged { try reopen(run, kind: buffer.kind) }
            }
            try store.sync()
        } catch {
            throw TraceError(.system, "cannot restore the segments of \(worker)", cause: error)
        }
    }

    private func decode(_ bytes: ByteView, copyingFrom original: String?) throws(TraceError) {
        var state = StateReader(bytes)
        let version = try state.integer(UInt32.self)
        let isNarrow = version == Self.versionBeforeGivingUp
        let isSummed = version == Self.stateVersion
        guard isSummed || isNarrow || version == Self.versionBeforeChecksums else {
            throw damaged()
        }
        window = try state.integer(UInt64.self)
        store.nextSerial = try state.integer(UInt64.self)
        store.order = try state.integer(UInt64.self)
        for _ in 0..<(try state.integer(UInt32.self)) {
            let name = try state.text()
            let flags = try state.integer(UInt8.self)
            hosts.restore(
                name,
                isThisMachine: flags & Self.thisMachineFlag != 0,
                isEvicted: flags & Self.evictedFlag != 0
            )
        }
        growBufferLists()
        for _ in 0..<(try state.integer(UInt32.self)) {
            let buffer = try buffer(from: &state, isNarrow: isNarrow)
            buffer.beginWindow()
            buffer.continuesRun = try state.integer(UInt8.self) != 0
            buffer.names = try NameTable(decoding: &state)
            for _ in 0..<(try state.integer(UInt32.self)) {
                let run = try RunFile(decoding: &state, isNarrow: isNarrow, isSummed: isSummed)
                if let original {
                    let path = original.isEmpty ? run.path : "\(original)/\(run.path)"
                    // What can't be copied is short then.
                    try? FileSystem.copy(path, to: store.absolute(run.path))
                }
                run.isDamaged = isShort(run.path, run.length)
                buffer.runs.append(run)
                ledger.wrote(run.length, buffer.kind)
            }
            // New rows need an intact run.
            if buffer.runs.last?.isDamaged == true { buffer.continuesRun = false }
        }
        for _ in 0..<(try state.integer(UInt32.self)) {
            let window = try state.integer(UInt64.self)
            let stem = try state.text()
            let files = try ClosedFile.decode(&state)
            closedWindows.append(ClosedWindow(window: window, stem: stem, files: files))
        }
        guard state.isAtEnd else { throw damaged() }
    }

    private func buffer(
        from state: inout StateReader,
        isNarrow: Bool
    ) throws(TraceError) -> RunBuffer {
        let kind = OutputKind(rawValue: try state.integer(UInt8.self))
        let number =
            isNarrow ? UInt32(try state.integer(UInt16.self)) : try state.integer(UInt32.self)
        let host = HostID(index: number)
        let isKnown = Int(host.index) < hosts.indexEnd
        switch kind {
        case .csv: return csv
        case .anomalies: return anomalies
        case .profile: return profile
        case .json where isKnown: return ownJSON(host)
        case .stacks where isKnown: return ownStacks(host)
        case .json where number == .max: return otherJSON
        case .stacks where number == .max: return otherStacks
        default: throw damaged()
        }
    }

    /// Whether the file is missing or shorter than `length` bytes. Adds it to `damagedSegments` if so.
    private func isShort(_ path: String, _ length: Int) -> Bool {
        if let size = FileSystem.size(store.absolute(path)), size >= length { return false }
        damagedSegments.append(path)
        return true
    }

    private func removeUnknownFiles() throws(SystemError) {
        let open = liveBuffers.flatMap { $0.runs.map(\.path) }
        let closed = closedWindows.flatMap { $0.files.flatMap { $0.runs.map(\.path) } }
        let known = Set(open + closed)
        for name in try FileSystem.list(store.absolute(store.directory)) {
            let path = "\(store.directory)/\(name)"
            if !known.contains(path) { try FileSystem.remove(store.absolute(path)) }
        }
    }

    /// Undoes changes after the checkpoint: additional rows, or a close, which overwrites the header and the last
    /// comma.
    private func reopen(_ run: RunFile, kind: OutputKind) throws(SystemError) {
        try store.truncate(run, to: run.length)
        guard kind == .json else { return }
        _ = try store.writeHead(of: run, kind: kind)
        var comma = RawBuffer(capacity: 16)
        comma.append(JSONSegment.separator)
        try unsafe store.write(comma.bytes, at: run.length - comma.count, to: run)
    }

    private func damaged() -> TraceError {
        TraceError(.corrupt, "the saved state of \(worker)'s trace files is damaged")
    }
}
