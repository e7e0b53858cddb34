import TraceModel

/// The threads of a trace that becomes several files: which ones the open file has named, and their open calls.
struct PartThreads {
    /// A thread with its open calls.
    private struct Thread {
        let pid: UInt32
        let tid: UInt32
        /// The last file that contains the names of the thread and of its process.
        var namedPart = 0
        var calls = OpenSlices()
    }

    /// A call that is open at the end of a file, with its thread.
    struct OpenCall {
        let pid: UInt32
        let tid: UInt32
        let slice: OpenSlices.Slice
        /// JSON string with its quotes.
        let name: ArraySlice<UInt8>
    }

    private var threads: [Thread] = []
    /// Keyed by process and thread.
    private var positions: [UInt64: Int] = [:]
    /// Positions for events that belong to a process as a whole.
    private var processPositions: [UInt32: Int] = [:]
    private var begun: UInt64 = 0
    private var openBytes = 0
    private let openBytesMax: Int
    private let threadsMax: Int

    /// The size of a repeated row without the name; also used as the estimate of its memory.
    private static let fixedBytes = 160

    /// Ignores calls that would make the rows of all open calls larger than `openBytesMax`.
    init(openBytesMax: Int) {
        self.openBytesMax = openBytesMax
        // At most half of these threads can have an open call.
        threadsMax = 2 * (openBytesMax / Self.fixedBytes + 1)
    }

    /// Returns the position of the row's thread, or of its process if the event has no thread. Valid until a new thread
    /// is added.
    mutating func position(of row: EventRow) -> Int {
        let known =
            if let tid = row.tid { positions[Self.key(row.pid, tid)] } else {
                processPositions[row.pid]
            }
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

    /// Forgets threads without open calls. If one comes back, it is named again.
    private mutating func forgetIdle() {
        threads.removeAll { $0.calls.slices.isEmpty }
        processPositions = [:]
        positions = [:]
        for (position, thread) in threads.enumerated() {
            positions[Self.key(thread.pid, thread.tid)] = position
        }
    }

    private static func key(_ pid: UInt32, _ tid: UInt32) -> UInt64 {
        UInt64(pid) << 32 | UInt64(tid)
    }

    // MARK: Names

    /// Whether the file already refers to the names of the thread at that position.
    func isNamed(_ position: Int, inPart part: Int) -> Bool { threads[position].namedPart == part }

    mutating func setNamed(_ position: Int, inPart part: Int) { threads[position].namedPart = part }

    // MARK: Calls

    /// Processes a row of the thread at that position.
    mutating func take(_ row: EventRow, at position: Int) {
        guard let call = row.call else { return }
        let cost = unsafe call.name.count + Self.fixedBytes
        switch call.phase {
        case .begin:
            guard openBytes + cost <= openBytesMax else { return }
            openBytes += cost
            begun += 1
            threads[position].calls.begin(call, ts: row.ts, order: begun)
        case .end: if threads[position].calls.end(call) { openBytes -= cost }
        }
    }

    /// All open calls in the order of their rows.
    var openCalls: [OpenCall] {
        threads.flatMap { thread in
            thread.calls.slices.map {
                OpenCall(
                    pid: thread.pid,
                    tid: thread.tid,
                    slice: $0,
                    name: thread.calls.name(of: $0)
                )
            }
        }.sorted { $0.slice.order < $1.slice.order }
    }
}
