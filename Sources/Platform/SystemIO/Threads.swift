import CLinux
import Glibc

/// A thread for code that blocks. All signals are blocked in it, because libzmq 4.3.4 can miss a wake-up on EINTR;
/// signals are handled by `SignalReceiver`.
package final class DedicatedThread: Sendable {
    private let handle: pthread_t

    /// Name and closure of a thread, as one object that `pthread_create` can pass on.
    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts the thread. `name` is shown by `top -H`; the kernel keeps its first 15 bytes.
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

/// A mutex with a condition variable. On the heap because pthread objects must not move.
@safe package final class ConditionLock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Takes the lock.
    package func lock() { unsafe pthread_mutex_lock(mutex) }

    /// Releases the lock.
    package func unlock() { unsafe pthread_mutex_unlock(mutex) }

    /// Calls `body` under the lock.
    package func withLock<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return try body()
    }

    /// Releases the lock, waits for `signal`, `broadcast` or the deadline (monotonic ns), and takes the lock again.
    /// Spurious wake-ups happen, so the caller tests its condition in a loop.
    package func wait(until deadline: Int64) {
        var time = timespec(
            tv_sec: Int(deadline / 1_000_000_000),
            tv_nsec: Int(deadline % 1_000_000_000)
        )
        unsafe pthread_cond_timedwait(condition, mutex, &time)
    }

    /// Wakes one waiting thread.
    package func signal() { unsafe pthread_cond_signal(condition) }

    /// Wakes all waiting threads.
    package func broadcast() { unsafe pthread_cond_broadcast(condition) }
}
