import ClusterMessages
import Synchronization
import TraceModel

/// Who waits for a window's files, or for slots to have their new owners.
final class WindowWaiters: Sendable {
    /// How a wait ended: the final files, or why there are none.
    typealias Outcome = Result<[String], TraceError>

    private struct Waiter: Sendable {
        let window: UInt64
        var missing: Set<Resource>
        var files: [String]
        var failure: String?
        let done: @Sendable (Outcome) -> Void
    }

    private struct Handover: Sendable {
        let window: UInt64
        let done: @Sendable () -> Void
    }

    private struct State: Sendable {
        var waiters: [Waiter] = []
        var handovers: [Handover] = []
    }

    private let state = Mutex(State())

    /// `done` is called once, when every resource's files of the window stand under their final names.
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

    /// The aggregator has merged a resource's window, or could not. It merges windows in their order, so a merged one stands
    /// for those before it too: word of these is lost where the aggregator dies before it is sent, and the next one knows
    /// the last window only.
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

    /// `done` is called once all slots have the owner that the map behind this window's barrier names.
    func waitForHandover(behind window: UInt64, done: @escaping @Sendable () -> Void) {
        state.withLock { $0.handovers.append(Handover(window: window, done: done)) }
    }

    /// What the fabric sees, which has come as far as the open window `window`: of later barriers it does
    /// not know yet whether they move slots.
    func handedOver(window: UInt64, isComplete: Bool) {
        guard isComplete else { return }
        let finished = state.withLock { state in
            defer { state.handovers.removeAll { $0.window < window } }
            return state.handovers.filter { $0.window < window }
        }
        for handover in finished { handover.done() }
    }
}
