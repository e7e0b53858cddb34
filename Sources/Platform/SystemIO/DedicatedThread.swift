import CLinux
import Glibc

/// A thread of its own for code that blocks. All signals are blocked in it, as libzmq 4.3.4 can miss a
/// wake-up on EINTR; signals belong to `SignalReceiver`.
package final class DedicatedThread: Sendable {
    private let handle: pthread_t

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts at once. `name` shows in `top -H`; the kernel keeps its first 15 bytes.
    package init(_ name: String, _ run: @escaping @Sendable () -> Void) {
        let body = unsafe Unmanaged.passRetained(Body(name: name, run: run))
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle,
            nil,
            { raw in
                guard let raw = unsafe raw else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(raw).takeRetainedValue()
                SignalReceiver.blockAll()
                unsafe trace_set_thread_name(body.name)
                body.run()
                return nil
            },
            unsafe body.toOpaque()
        )
        precondition(code == 0, "pthread_create: \(code)")
        self.handle = handle
    }

    /// Waits until the thread's body has returned. Once only.
    package func join() {
        let code = pthread_join(handle, nil)
        precondition(code == 0, "pthread_join: \(code)")
    }
}
