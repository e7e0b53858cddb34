import TraceModel

/// The calls that the rows of a trace have begun and not ended: what the next file begins with where the trace is
/// cut. Calls are paired as the worker pairs them: an end closes the innermost one of its cookie and name.
struct OpenSlices {
    struct Slice {
        /// Among all calls begun.
        let order: UInt64
        let ts: EpochNanoseconds
        let pid: UInt32
        let tid: UInt32
        let cookie: Int64
        /// JSON text with its quotes.
        let name: [UInt8]
    }

    private struct Thread: Hashable {
        let pid: UInt32
        let tid: UInt32
    }

    /// The innermost call last.
    private var threads: [Thread: [Slice]] = [:]
    private var begun: UInt64 = 0
    private var bytes = 0
    private let bytesMax: Int

    /// Of a row what is not the name, and of memory as much.
    private static let fixedBytes = 160

    /// Calls that would make the rows of all open ones larger than `bytesMax` are not remembered.
    init(bytesMax: Int) { self.bytesMax = bytesMax }

    mutating func take(_ row: EventRow) {
        guard let tid = row.tid, let call = row.call else { return }
        let thread = Thread(pid: row.pid, tid: tid)
        switch call.phase {
        case .begin:
            let cost = call.name.count + Self.fixedBytes
            guard bytes + cost <= bytesMax else { return }
            bytes += cost
            begun += 1
            let slice = Slice(
                order: begun,
                ts: row.ts,
                pid: row.pid,
                tid: tid,
                cookie: call.cookie,
                name: Array(call.name)
            )
            threads[thread, default: []].append(slice)
        case .end:
            guard
                let position = threads[thread]?.lastIndex(where: {
                    $0.cookie == call.cookie && $0.name.elementsEqual(call.name)
                })
            else { return }
            bytes -= call.name.count + Self.fixedBytes
            threads[thread]?.remove(at: position)
            if threads[thread]?.isEmpty == true { threads[thread] = nil }
        }
    }

    /// In the order of their rows.
    var inOrder: [Slice] { threads.values.joined().sorted { $0.order < $1.order } }
}
