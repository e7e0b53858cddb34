import GRPCServices
import GRPCTransport
import Synchronization
import SystemIO

/// The unacknowledged batches of one stream, in order: acks come in the same order. Shared by the stream's sender and
/// receiver.
final class AckWindow: @unchecked Sendable {
    /// A batch that was sent; `due` is when its latency begins (monotonic ns).
    struct Sent {
        let due: Int64
        let events: Int
        let bytes: Int
    }

    private let limit: Int
    private let lock = ConditionLock()
    // Protected by the lock, with everything below.
    private var waiting: [Sent] = []
    private var head = 0
    private var isBroken = false

    init(limit: Int) { self.limit = limit }

    /// Adds a batch. Blocks while the window is full; returns false where the stream is over.
    func add(_ sent: Sent) -> Bool {
        lock.withLock {
            while waiting.count - head >= limit, !isBroken {
                lock.wait(until: WallClock.monotonic() + 1_000_000_000)
            }
            guard !isBroken else { return false }
            waiting.append(sent)
            return true
        }
    }

    /// Removes the oldest batch, whose ack has come; nil where there is none.
    func takeOldest() -> Sent? {
        lock.withLock {
            guard head < waiting.count else { return nil }
            let sent = waiting[head]
            head += 1
            if head > 1_024 {
                waiting.removeFirst(head)
                head = 0
            }
            lock.signal()
            return sent
        }
    }

    /// Ends the window: no more acks will come.
    func breakOff() {
        lock.withLock {
            isBroken = true
            lock.signal()
        }
    }
}

/// Sends batches through streams: for each stream, one thread sends and another one receives acks.
final class StreamLoad: Sendable {
    /// State that all threads of the load share.
    private struct State {
        var traffic: Traffic
        var outcome = LoadOutcome()
        var lastAck: Int64
    }

    private let plan: LoadPlan
    private let clients: [GRPCClient]
    private let start = WallClock.monotonic()
    private let end: Int64
    private let state: Mutex<State>

    /// Prepares a load of `seconds`. The clients belong to the caller and stay open.
    init(_ plan: LoadPlan, clients: [GRPCClient], traffic: Traffic, seconds: Double) {
        self.plan = plan
        self.clients = clients
        end = start + Int64(seconds * 1e9)
        state = Mutex(State(traffic: traffic, lastAck: start))
    }

    /// Blocks until every batch sent has been acknowledged and every stream has ended.
    func run() -> LoadOutcome {
        var threads: [DedicatedThread] = []
        let streams = clients.count * plan.streams
        for index in 0..<streams {
            do throws(GRPCCallError) {
                let path = TracerService.Method.streamTraceBatches.path
                let stream = try clients[index % clients.count].openStream(path)
                let window = AckWindow(limit: windowBatches)
                threads.append(
                    DedicatedThread("send-\(index)") { [self] in
                        send(through: stream, window, index: index, of: streams)
                    }
                )
                threads.append(
                    DedicatedThread("acks-\(index)") { [self] in receive(from: stream, window) }
                )
            } catch { fail("\(error)") }
        }
        for thread in threads { thread.join() }
        return state.withLock { state in
            var outcome = state.outcome
            outcome.seconds = Double(state.lastAck - start) / 1e9
            return outcome
        }
    }

    private var windowBatches: Int {
        switch plan.pace {
        case .closed(let inFlight): inFlight
        case .open: LoadPlan.openInFlightMax
        }
    }

    private func send(
        through stream: GRPCClientStream,
        _ window: AckWindow,
        index: Int,
        of streams: Int
    ) {
        let interval = plan.intervalNanoseconds
        var round = 0
        do throws(GRPCCallError) {
            while state.withLock({ $0.outcome.failure == nil }) {
                var due = WallClock.monotonic()
                if let interval {
                    due = start + Int64(Double(round * streams + index) * interval)
                    if due < end { Pause.until(due) }
                }
                guard due < end else { break }
                let batch = state.withLock { $0.traffic.next() }
                let bytes = batch.bytes.count
                if interval == nil { due = WallClock.monotonic() }
                let sent = AckWindow.Sent(due: due, events: batch.events, bytes: bytes)
                guard window.add(sent) else { break }
                try stream.send(batch.bytes)
                round += 1
            }
            try stream.halfClose()
        } catch { fail("\(error)") }
    }

    private func receive(from stream: GRPCClientStream, _ window: AckWindow) {
        do {
            while let bytes = try stream.receive() {
                let ack = try BatchAck(decoding: bytes)
                let now = WallClock.monotonic()
                guard let sent = window.takeOldest() else { break }
                state.withLock { state in
                    guard ack.success else {
                        state.outcome.failure = ack.message
                        return
                    }
                    let latency = now - sent.due
                    state.outcome.acknowledged(sent.events, bytes: sent.bytes, latency: latency)
                    state.lastAck = now
                }
            }
        } catch { fail("\(error)") }
        window.breakOff()
    }

    private func fail(_ reason: String) {
        state.withLock { state in if state.outcome.failure == nil { state.outcome.failure = reason }
        }
    }
}
