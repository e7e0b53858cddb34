import TraceModel

/// A bound on how long something asynchronous may take.
enum Deadline {
    /// The result of `body`, which is cancelled when the time is over; then throws `.unreachable`.
    static func within<Value: Sendable>(
        seconds: Int,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            defer { group.cancelAll() }
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                throw TraceError(.unreachable, "not done within \(seconds) s")
            }
            guard let value = try await group.next() else {
                throw TraceError(.unreachable, "cancelled")
            }
            return value
        }
    }
}
