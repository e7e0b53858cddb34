internal import Synchronization
internal import SystemIO

/// A call that wants to receive a message.
protocol GateEntrant: AnyObject, Sendable {
    /// Starts to receive; false where the call is over already, which gives the turn back.
    func arm() -> Bool
    /// Its time is over: in the queue, or with its receive armed (which stays so until it completes).
    func expire(armed: Bool)
}

/// Bounds how many calls receive at once; others wait in the order they came. Memory is what is at
/// stake: an armed receive may bring a message of the largest size.
final class ReceiveGate: Sendable {
    private struct Waiting {
        let entrant: any GateEntrant
        let deadline: Int64
    }

    private struct Armed {
        let entrant: any GateEntrant
        var deadline: Int64
    }

    private struct State {
        var waiting: [Waiting] = []
        /// Where the queue begins in `waiting`; what lies before is taken already.
        var head = 0
        var armed: [Armed] = []

        var waitingCount: Int { waiting.count - head }

        mutating func popFirst() -> Waiting? {
            guard head < waiting.count else { return nil }
            let first = waiting[head]
            head += 1
            if head == waiting.count {
                waiting.removeAll(keepingCapacity: true)
                head = 0
            } else if head >= 512 {
                waiting.removeFirst(head)
                head = 0
            }
            return first
        }

        mutating func remove(_ entrant: any GateEntrant) {
            guard let index = armed.firstIndex(where: { $0.entrant === entrant }) else { return }
            armed.swapAt(index, armed.count - 1)
            armed.removeLast()
        }
    }

    private let armedMax: Int
    private let waitingMax: Int
    private let armedNanoseconds: Int64
    private let yieldsOnlyToOthers: Bool
    private let waitingNanoseconds: Int64
    private let held: HeldBytes?
    private let state = Mutex(State())

    /// `yieldsOnlyToOthers`: an armed receive may last longer than `armedSeconds` while nobody waits.
    /// `held` nil: memory held doesn't matter.
    init(
        armedMax: Int,
        waitingMax: Int,
        armedSeconds: Double,
        waitingSeconds: Double,
        yieldsOnlyToOthers: Bool = false,
        held: HeldBytes?
    ) {
        precondition(armedMax > 0 && waitingMax > 0)
        self.armedMax = armedMax
        self.waitingMax = waitingMax
        armedNanoseconds = Int64(armedSeconds * 1e9)
        self.yieldsOnlyToOthers = yieldsOnlyToOthers
        waitingNanoseconds = Int64(waitingSeconds * 1e9)
        self.held = held
    }

    /// Queues the entrant and arms it when its turn comes, maybe at once. False: the queue is full.
    func enter(_ entrant: any GateEntrant) -> Bool {
        let deadline = WallClock.monotonic() + waitingNanoseconds
        let fits = state.withLock { state in
            guard state.waitingCount < waitingMax else { return false }
            state.waiting.append(Waiting(entrant: entrant, deadline: deadline))
            return true
        }
        if fits { pump() }
        return fits
    }

    /// The entrant's receive has completed; the next one's turn comes.
    func leave(_ entrant: any GateEntrant) {
        state.withLock { $0.remove(entrant) }
        pump()
    }

    /// Arms waiting calls as far as the bounds allow.
    func pump() {
        while let next = grant() {
            // Outside the lock: arming enters the core.
            if !next.arm() { state.withLock { $0.remove(next) } }
        }
    }

    /// Ends what has waited or received for too long at `now`, monotonic.
    func sweep(now: Int64) {
        let expired = state.withLock { state in
            var expired: [(entrant: any GateEntrant, armed: Bool)] = []
            while state.head < state.waiting.count, state.waiting[state.head].deadline <= now {
                if let first = state.popFirst() { expired.append((first.entrant, false)) }
            }
            var yields = yieldsOnlyToOthers ? state.waitingCount : state.armed.count
            for index in state.armed.indices where state.armed[index].deadline <= now {
                guard yields > 0 else { break }
                yields -= 1
                state.armed[index].deadline = .max
                expired.append((state.armed[index].entrant, true))
            }
            return expired
        }
        for (entrant, armed) in expired { entrant.expire(armed: armed) }
    }

    /// Forgets all entrants, once no call can be armed any more.
    func removeAll() { state.withLock { $0 = State() } }

    private func grant() -> (any GateEntrant)? {
        state.withLock { state in
            guard state.armed.count < armedMax, held?.isBelowLimit ?? true,
                let next = state.popFirst()
            else { return nil }
            let deadline = WallClock.monotonic() + armedNanoseconds
            state.armed.append(Armed(entrant: next.entrant, deadline: deadline))
            return next.entrant
        }
    }
}
