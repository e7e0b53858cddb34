internal import Synchronization

/// Answers to unary calls kept back for the moment in which a server tells its clients to go elsewhere.
///
/// A client that begins a call while its core takes note of that may see the call fail, where it is told
/// not to begin such a call anew by itself (or is too old to). One that waits for an answer begins none.
///
/// They go out as one row. With the last of them the core closes the connection at once, and a socket closed
/// while something unread lies in it (a client pings when answers come) is reset: what TCP's congestion
/// window had kept back by then, as it does with many small segments, is lost, and with it those answers.
final class WithheldAnswers: Sendable {
    private struct State {
        var isActive = false
        var answers: [(call: GRPCUnaryCall, message: [UInt8])] = []
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
        AnswerRow.send { row in
            for (call, message) in answers { row.reply(to: call, message) }
        }
    }

    /// True: the answer is given later. Copies `message` then.
    func keep(_ call: GRPCUnaryCall, _ message: UnsafeRawBufferPointer) -> Bool {
        guard isActive.load(ordering: .acquiring) else { return false }
        return state.withLock { state in
            guard state.isActive else { return false }
            unsafe state.answers.append((call, [UInt8](message)))
            return true
        }
    }
}
