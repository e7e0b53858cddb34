import SystemIO
import TraceFiles
import TraceModel

/// The threads of a process that have been named in this window's trace.
struct ThreadNames {
    private var window = UInt64.max
    private var last: UInt32?
    /// Empty while `last` is the only thread, as in most processes.
    private var named: Set<UInt32> = []

    init() {}

    /// The bytes charged, including the names that wait for the end of the window's trace.
    @inline(__always) var stateBytes: Int { count &* 160 }

    @inline(__always) private var count: Int { named.isEmpty && last != nil ? 1 : named.count }

    /// Names the event's thread once per window: the name that agents have given it, else the process's, else
    /// `tid-<n>`.
    @inline(__always) mutating func note(
        _ context: EventContext,
        window: UInt64,
        name: @autoclosure () -> ByteView,
        given: borrowing GivenNames
    ) {
        if self.window == window, last == context.tid { return }
        let processName = name()
        given.withName(ofThread: context.tid) {
            add(context, window: window, name: $0.isEmpty ? processName : $0)
        }
    }

    /// Returns whether the thread has been named in this window's trace.
    func isNamed(_ tid: UInt32, window: UInt64) -> Bool { self.window == window && isNamed(tid) }

    private func isNamed(_ tid: UInt32) -> Bool {
        named.isEmpty ? last == tid : named.contains(tid)
    }

    private mutating func add(_ context: EventContext, window: UInt64, name: ByteView) {
        if self.window != window {
            self.window = window
            named.removeAll(keepingCapacity: true)
            last = nil
        }
        let (isKnown, count) = (isNamed(context.tid), count)
        if !isKnown, count > 0, count < Limits.namedThreadsPerProcessMax {
            if let last, count == 1 { named.insert(last) }
            named.insert(context.tid)
        }
        last = context.tid
        guard !isKnown, count < Limits.namedThreadsPerProcessMax else { return }
        guard name.isEmpty else {
            return context.files.nameThread(
                host: context.host,
                pid: context.pid,
                tid: context.tid,
                name: name
            )
        }
        var text = "tid-\(context.tid)"
        text.withUTF8 {
            context.files.nameThread(
                host: context.host,
                pid: context.pid,
                tid: context.tid,
                name: ByteView(UnsafeRawBufferPointer($0))
            )
        }
    }

    /// Encoded because a thread is named once per window, even across a restart: by then its process may have another
    /// name.
    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: window)
        buffer.append(integer: UInt32(count))
        if named.isEmpty, let last { buffer.append(integer: last) }
        for tid in named.sorted() { buffer.append(integer: tid) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        window = try reader.integer(UInt64.self)
        let count = try reader.integer(UInt32.self)
        if count == 1 { last = try reader.integer(UInt32.self) }
        if count > 1 { for _ in 0..<count { named.insert(try reader.integer(UInt32.self)) } }
    }
}
