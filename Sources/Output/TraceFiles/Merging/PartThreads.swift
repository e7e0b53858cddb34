import TraceModel

/// Who has rows in a trace that becomes several files: whose names stand in the open one, and which calls are open.
struct PartThreads {
    private struct Thread {
        let pid: UInt32
        let tid: UInt32
        /// The last file that has the names of the thread and of its process.
        var namedPart = 0
        var calls = OpenSlices()
    }

    /// A call that is open at a cut, with its thread.
    struct OpenCall {
        let pid: UInt32
        let tid: UInt32
        let slice: OpenSlices.Slice
        /// JSON text with its quotes.
        let name: ArraySlice<UInt8>
    }

    private var threads: [Thread] = []
    /// By process and thread.
    private var positions: [UInt64: Int] = [:]
    /// Of events that are the whole process's.
    private var processPositions: [UInt32: Int] = [:]
    private var begun: UInt64 = 0
    private var openBytes = 0
    private let openBytesMax: Int
    private let threadsMax: Int

    /// Of a row what is not the name, and of memory as much.
    private static let fixedBytes = 160

    /// Calls that would make the rows of all open ones larger than `openBytesMax` are not remembered.
    init(openBytesMax: Int) {
        self.openBytesMax = openBytesMax
        // Of so many at most half have an open call.
        threadsMax = 2 * (openBytesMax / Self.fixedBytes + 1)
    }

    /// Where the row's thread, or its process where it has none, stands here: until the next position of one that was not known.
    mutating func position(of row: EventRow) -> Int {
        let known = if let tid = row.tid { positions[Self.key(row.pid, tid)] } else { processPositions[row.pid] }
        return known ?? add(row)
    }

    private mutating func add(_ row: EventRow) -> Int {
        if threads.count >= threadsMax { forgetIdle() }
        let position = threads.count
        threads.append(Thread(pid: row.pid, tid: row.tid ?? 0))
        if let tid = row.tid {
            positions[Self.key(row.pid, tid)] = position
        } else {
            processPositions[row.pid] = position
        }
        return position
    }

    /// Forgets all without an open call: the names of who comes again are looked up again.
    private mutating func forgetIdle() {
        threads.removeAll { $0.calls.slices.isEmpty }
        processPositions = [:]
        positions = [:]
        for (position, thread) in threads.enumerated() { positions[Self.key(thread.pid, thread.tid)] = position }
    }

    private static func key(_ pid: UInt32, _ tid: UInt32) -> UInt64 { UInt64(pid) << 32 | UInt64(tid) }

    // MARK: Names

    /// Whether the file has the names of the thread at that position.
    func isNamed(_ position: Int, inPart part: Int) -> Bool { threads[position].namedPart == part }

    mutating func setNamed(_ position: Int, inPart part: Int) { threads[position].namedPart = part }

    // MARK: Calls

    /// Takes a row of the thread at that position.
    mutating func take(_ row: EventRow, at position: Int) {
        guard let call = row.call else { return }
        let cost = call.name.count + Self.fixedBytes
        switch call.phase {
        case .begin:
            guard openBytes + cost <= openBytesMax else { return }
            openBytes += cost
            begun += 1
            threads[position].calls.begin(call, ts: row.ts, order: begun)
        case .end: if threads[position].calls.end(call) { openBytes -= cost }
        }
    }

    /// In the order of their rows.
    var openCalls: [OpenCall] {
        threads.flatMap { thread in
            thread.calls.slices.map {
                OpenCall(pid: thread.pid, tid: thread.tid, slice: $0, name: thread.calls.name(of: $0))
            }
        }.sorted { $0.slice.order < $1.slice.order }
    }
}
