import TraceFiles
import TraceModel

/// Which threads of a process have been named in this window's trace.
struct ThreadNames {
    private var window = UInt64.max
    private var last: UInt32?
    private var named: Set<UInt32> = []

    /// Names the event's thread once a window: the process's name, or `tid-<n>` where it has none.
    @inline(__always)
    mutating func note(_ context: EventContext, window: UInt64, name: ByteView) {
        if self.window == window, last == context.tid { return }
        add(context, window: window, name: name)
    }

    private mutating func add(_ context: EventContext, window: UInt64, name: ByteView) {
        if self.window != window {
            self.window = window
            named.removeAll(keepingCapacity: true)
        }
        last = context.tid
        guard named.count < Limits.threadsPerProcessMax, named.insert(context.tid).inserted else {
            return
        }
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
}
