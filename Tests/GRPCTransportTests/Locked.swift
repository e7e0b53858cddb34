import Foundation

/// A value that threads change and a test waits for.
final class Locked<Value>: @unchecked Sendable {
    private let condition = NSCondition()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func update(_ body: (inout Value) -> Void) {
        condition.withLock {
            body(&value)
            condition.broadcast()
        }
    }

    var current: Value { condition.withLock { value } }

    /// Waits until the condition holds; returns false after `seconds`.
    func wait(seconds: Double = 10, until isMet: (Value) -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        return condition.withLock {
            while !isMet(value) { if !condition.wait(until: deadline) { return isMet(value) } }
            return true
        }
    }
}
