import ClusterMessages
import Synchronization
import TraceModel

/// Holds the calls that wait for a window's files, or for a change of slot owners. Thread-safe.
final class WindowWaiters: Sendable {
    /// The result of a wait: the final files, or why there are none.
    typealias Outcome = Result<[String], TraceError>

    /// A call that waits for the files of a window.
    private struct Waiter: Sendable {
        let window: UInt64
        var missing: Set<Resource>
        var files: [String]
        var failure: String?
        let done: @Sendable (Outcome) -> Void
    }

    /// A call that waits until the slots have the owners of the map after the window's barrier.
    private struct Handover: Sendable {
        let window: UInt64
        let done: @Sendable () -> Void
    }

    /// The waiting calls; protected by a mutex.
    private struct State: Sendable {
        var waiters: [Waiter] = []
        var handovers: [Handover] = []
    }

    private let state = Mutex(State())

    /// Calls `done` once, when all resources' files of the window have their final names.
    func wait(for window: UInt64, done: @escaping @Sendable (Outcome) -> Void) {
        state.withLock {
            $0.waiters.append(
                Waiter(
                    window: window,
                    missing: Set(Resource.allCases),
                    files: [],
                    failure: nil,
                    done: done
                )
            )
        }
    }

    /// Handles the aggregator's report that it has merged a resource's window, or failed to. It merges windows in
    /// order, so a merged one implies those before it: their reports are lost if the aggregator dies before it sends
    /// them, and the next aggregator knows only the last window.
    func merged(_ message: WindowMerged) {
        let finished = state.withLock { state -> [Waiter] in
            for index in state.waiters.indices {
                let isMeant = state.waiters[index].window == message.window
                guard isMeant || message.failure == nil,
                    state.waiters[index].window <= message.window,
                    state.waiters[index].missing.remove(message.resource) != nil
                else { continue }
                if isMeant { state.waiters[index].files += message.files }
                if let failure = message.failure { state.waiters[index].failure = failure }
            }
            defer { state.waiters.removeAll { $0.missing.isEmpty } }
            return state.waiters.filter { $0.missing.isEmpty }
        }
        for waiter in finished {
            if let failure = waiter.failure {
                waiter.done(.failure(TraceError(.system, "The window was not merged: \(failure)")))
            } else {
                waiter.done(.success(waiter.files.sorted()))
            }
        }
    }

    /// Calls `done` once all slots have the owners of the map after this window's barrier.
    func waitForHandover(behind window: UInt64, done: @escaping @Sendable () -> Void) {
        state.withLock { $0.handovers.append(Handover(window: window, done: done)) }
    }

    /// Handles the fabric's report: whether slots have moved as far as the barriers that it has processed, up to the
    /// start of the open window `window`. For later barriers it does not know yet whether they move slots.
    func handedOver(window: UInt64, isComplete: Bool) {
        guard isComplete else { return }
        let finished = state.withLock { state in
            defer { state.handovers.removeAll { $0.window < window } }
            return state.handovers.filter { $0.window < window }
        }
        for handover in finished { handover.done() }
    }
}
