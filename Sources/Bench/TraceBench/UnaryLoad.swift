import GRPCServices
import GRPCTransport
import Glibc
import Synchronization
import SystemIO

/// Sends each batch by a call of its own, many at once: from the completions of previous calls (closed loop), or from
/// the thread of `run` when they are due (open loop).
final class UnaryLoad: Sendable {
    /// State that the completions of calls share.
    private struct State {
        var traffic: Traffic
        var outcome = LoadOutcome()
        var inFlight = 0
        var lastAck: Int64
    }

    private static let timeoutSeconds = 60.0

    private let plan: LoadPlan
    private let clients: [GRPCClient]
    private let start = WallClock.monotonic()
    private let end: Int64
    private let state: Mutex<State>
    private let progress = ConditionLock()

    /// Prepares a load of `seconds`. The clients belong to the caller and stay open.
    init(_ plan: LoadPlan, clients: [GRPCClient], traffic: Traffic, seconds: Double) {
        self.plan = plan
        self.clients = clients
        end = start + Int64(seconds * 1e9)
        state = Mutex(State(traffic: traffic, lastAck: start))
    }

    /// Blocks until every batch sent has been answered.
    func run() -> LoadOutcome {
        switch plan.pace {
        case .closed(let inFlight):
            for index in 0..<(inFlight * clients.count) {
                send(by: clients[index % clients.count], due: nil)
            }
        case .open: paceUntilEnd()
        }
        wait { $0.inFlight == 0 }
        return state.withLock { state in
            var outcome = state.outcome
            outcome.seconds = Double(state.lastAck - start) / 1e9
            return outcome
        }
    }

    private func paceUntilEnd() {
        guard let interval = plan.intervalNanoseconds else { return }
        var index = 0
        while true {
            let due = start + Int64(Double(index) * interval)
            guard due < end, state.withLock({ $0.outcome.failure == nil }) else { return }
            Pause.until(due)
            wait { $0.inFlight < LoadPlan.openInFlightMax }
            send(by: clients[index % clients.count], due: due)
            index += 1
        }
    }

    /// - Parameter due: When latency begins; nil means now.
    private func send(by client: GRPCClient, due: Int64?) {
        let now = WallClock.monotonic()
        let batch = state.withLock { state -> Traffic.Batch? in
            // A batch that was due in time counts, however late it is sent: else an open loop would leave its delay out.
            guard (due ?? now) < end, state.outcome.failure == nil else { return nil }
            state.inFlight += 1
            return state.traffic.next()
        }
        guard let batch else { return }
        let began = due ?? now
        let path = TracerService.Method.sendTraceBatch.path
        let (events, bytes) = (batch.events, batch.bytes.count)
        client.start(path, batch.bytes, timeoutSeconds: Self.timeoutSeconds) { [self] result in
            answered(result, events: events, bytes: bytes, began: began)
            if due == nil { send(by: client, due: nil) }
        }
    }

    private func answered(
        _ result: Result<[UInt8], GRPCCallError>,
        events: Int,
        bytes: Int,
        began: Int64
    ) {
        let now = WallClock.monotonic()
        let inFlight = state.withLock { state in
            state.inFlight -= 1
            switch result {
            case .success(let answer) where Self.isSuccess(answer):
                state.outcome.acknowledged(events, bytes: bytes, latency: now - began)
                state.lastAck = now
            case .success: state.outcome.failure = "the server answered without success"
            case .failure(let error) where error.status == .resourceExhausted:
                state.outcome.refused += 1
            case .failure(let error): state.outcome.failure = "\(error)"
            }
            return state.inFlight
        }
        // Signal only where a thread may be waiting: waking one costs as much as the call.
        if inFlight == 0 || inFlight == LoadPlan.openInFlightMax - 1 {
            progress.withLock { progress.signal() }
        }
    }

    /// Whether the answer is a `TraceResponse` that begins with `success`, as every serializer writes it.
    private static func isSuccess(_ answer: [UInt8]) -> Bool { answer.starts(with: [0x08, 0x01]) }

    private func wait(until isMet: (borrowing State) -> Bool) {
        progress.withLock {
            while !state.withLock({ isMet($0) }) {
                progress.wait(until: WallClock.monotonic() + 1_000_000_000)
            }
        }
    }
}
