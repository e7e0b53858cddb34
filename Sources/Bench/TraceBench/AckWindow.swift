import SystemIO

/// The unacknowledged batches of one stream, in the order they were sent: acks come in that order.
/// Shared by the stream's sender and its receiver.
final class AckWindow: @unchecked Sendable {
    struct Sent {
        let due: Int64
        let events: Int
        let bytes: Int
    }

    private let limit: Int
    private let lock = ConditionLock()
    // All below under the lock.
    private var waiting: [Sent] = []
    private var head = 0
    private var isBroken = false

    init(limit: Int) { self.limit = limit }

    /// Blocks while the window is full; false where the stream is over.
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

    /// The oldest one, whose ack has come; nil where none waits.
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

    /// No ack comes any more.
    func breakOff() {
        lock.withLock {
            isBroken = true
            lock.signal()
        }
    }
}
