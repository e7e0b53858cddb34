internal import Synchronization

/// Answers kept back for the moment in which a server tells its clients to go elsewhere.
///
/// A client that begins a call while its core takes note of that may see the call fail, where it is told
/// not to begin such a call anew by itself (or is too old to). One that waits for an answer begins none.
final class WithheldAnswers: Sendable {
    private struct State {
        var isActive = false
        var answers: [@Sendable () -> Void] = []
    }

    /// Read before each answer; the lock is only taken while it is set.
    private let isActive = Atomic<Bool>(false)
    private let state = Mutex(State())

    /// From now on answers are kept back.
    func begin() {
        state.withLock { $0.isActive = true }
        isActive.store(true, ordering: .releasing)
    }

    /// Gives all answers, and keeps none back any more.
    func end() {
        isActive.store(false, ordering: .releasing)
        let answers = state.withLock { state in
            defer { state = State() }
            return state.answers
        }
        for answer in answers { answer() }
    }

    /// True: the answer is given later. `answer` makes what is to be done then.
    func keep(_ answer: () -> @Sendable () -> Void) -> Bool {
        guard isActive.load(ordering: .acquiring) else { return false }
        return state.withLock { state in
            guard state.isActive else { return false }
            state.answers.append(answer())
            return true
        }
    }
}
