import SystemIO
import TraceFiles

/// Reads call paths for queries. Those that ask for the same at once share one reading: a page asks for the functions
/// and the flame graph of a moment at the same time. Nothing is kept when the last of them has its answer. Any thread.
///
/// What is read goes to several threads, so that nobody may change it.
final class SharedReadings<Value>: @unchecked Sendable {
    /// A reading that a query's thread does.
    private final class Reading {
        let selection: ProfileSelection
        let openWindow: OpenWindow.State
        /// When it began, monotonic.
        let began = WallClock.monotonic()
        /// Protected by the lock of all.
        var result: Result<Value, any Error>?

        init(_ selection: ProfileSelection, _ openWindow: OpenWindow.State) {
            self.selection = selection
            self.openWindow = openWindow
        }
    }

    private let source: (ProfileSelection, QueryContext) throws -> Value
    private let lock = ConditionLock()
    /// Protected by the lock.
    private var underWay: [Reading] = []

    /// - Parameter source: Reads what a selection has. Called by the threads of queries, several at a time.
    init(_ source: @escaping (ProfileSelection, QueryContext) throws -> Value) {
        self.source = source
    }

    /// Returns what a selection has. Blocks.
    /// - Parameters:
    ///   - openWindow: What became of it for the query. Only queries for which that is the same share a reading.
    ///   - since: When the query came, monotonic. Only readings that began later are shared, unless the span ends before
    ///     the open window.
    /// - Throws: `QueryFailure` if the query has to end; `TraceError` if a file is damaged.
    func read(
        _ selection: ProfileSelection,
        _ openWindow: OpenWindow.State,
        since: Int64,
        _ context: QueryContext
    ) throws -> Value {
        while true {
            try context.check()
            let (reading, isOurs) = lock.withLock { () -> (Reading, Bool) in
                let known = underWay.first {
                    $0.selection == selection && $0.openWindow == openWindow
                        && (openWindow == .apart || $0.began >= since)
                }
                if let known { return (known, false) }
                let new = Reading(selection, openWindow)
                underWay.append(new)
                return (new, true)
            }
            if isOurs {
                return try finish(reading, Result { try source(selection, context) }).get()
            }
            // A reading that failed may have failed for its query's own reasons.
            if case .success(let value) = try result(of: reading, context) { return value }
        }
    }

    private func finish(
        _ reading: Reading,
        _ result: Result<Value, any Error>
    ) -> Result<Value, any Error> {
        lock.withLock {
            reading.result = result
            underWay.removeAll { $0 === reading }
            lock.broadcast()
        }
        return result
    }

    /// Waits for the end of a reading that another thread does.
    private func result(
        of reading: Reading,
        _ context: QueryContext
    ) throws(QueryFailure) -> Result<Value, any Error> {
        while true {
            try context.check()
            let result = lock.withLock { () -> Result<Value, any Error>? in
                if reading.result == nil {
                    lock.wait(until: WallClock.monotonic() + 50_000_000)
                }
                return reading.result
            }
            if let result { return result }
        }
    }
}
