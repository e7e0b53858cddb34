internal import SystemIO

/// A value under a lock with a condition variable to wait for its changes. Waiting blocks the thread.
final class Monitor<Value>: @unchecked Sendable {
    private let condition = ConditionLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    /// Changes the value and wakes all waiting threads.
    func update<Result>(_ body: (inout Value) -> Result) -> Result {
        condition.withLock {
            defer { condition.broadcast() }
            return body(&value)
        }
    }

    /// Waits until the condition holds, then changes the value under the same lock.
    func wait<Result>(until isMet: (Value) -> Bool, then body: (inout Value) -> Result) -> Result {
        condition.withLock {
            while !isMet(value) { condition.wait(until: .max) }
            return body(&value)
        }
    }

    /// Waits for at most `seconds` and returns whether the condition holds.
    func wait(seconds: Double, until isMet: (Value) -> Bool) -> Bool {
        let deadline = WallClock.monotonic() + Int64(max(0, seconds) * 1e9)
        return condition.withLock {
            while !isMet(value), WallClock.monotonic() < deadline {
                condition.wait(until: deadline)
            }
            return isMet(value)
        }
    }
}
