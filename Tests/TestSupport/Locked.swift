import Foundation

/// A value that threads change and for which a test waits.
package final class Locked<Value>: @unchecked Sendable {
    private let condition = NSCondition()
    private var value: Value

    package init(_ value: Value) { self.value = value }

    /// Changes the value and wakes all waiting threads.
    package func update(_ body: (inout Value) -> Void) {
        condition.withLock {
            body(&value)
            condition.broadcast()
        }
    }

    package var current: Value { condition.withLock { value } }

    /// Waits until the condition holds; returns false after `seconds`.
    package func wait(seconds: Double = 30, until isMet: (Value) -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        return condition.withLock {
            while !isMet(value) { if !condition.wait(until: deadline) { return isMet(value) } }
            return true
        }
    }
}
