import SystemIO

/// Says, where no terminal shows a progress line, what a command waits for: after a second, 5 s later, and then after twice
/// as long each time, once a minute at most. A value without a clock; times are seconds.
package struct WaitNotice {
    private static let firstInterval = 5.0
    private static let longestInterval = 60.0

    private var nextAt = 1.0
    private var interval = firstInterval
    /// Whether anything was said of this wait.
    package private(set) var hasSpoken = false

    package init() {}

    /// The line to write now, where one is due. `waited`: since the wait began.
    package mutating func line(_ reason: String, waited: Double) -> String? {
        guard waited >= nextAt else { return nil }
        nextAt = waited + interval
        if hasSpoken { interval = min(interval * 2, Self.longestInterval) }
        hasSpoken = true
        return "Waiting for \(Int(waited)) s: \(reason)"
    }
}

/// Says on standard error what a batch waits for, on a thread of its own: an attempt may block for a minute.
final class WaitTeller: @unchecked Sendable {
    private struct Wait {
        let began: Int64
        var reason = "no answer yet"
        var notice = WaitNotice()
    }

    private let server: String
    private let lock = ConditionLock()
    /// Under the lock.
    private var wait: Wait?
    private var isStopping = false

    /// Starts the thread, which goes on until `stop`.
    init(of server: String) {
        self.server = server
        _ = DedicatedThread("waiting") { [self] in run() }
    }

    /// A batch is about to be sent.
    func begin() { lock.withLock { wait = Wait(began: WallClock.monotonic()) } }

    /// It was not taken, and is sent again.
    func failed(_ reason: String) { lock.withLock { wait?.reason = reason } }

    /// It was acknowledged.
    func end() {
        let hasSpoken = lock.withLock {
            defer { wait = nil }
            return wait?.notice.hasSpoken ?? false
        }
        if hasSpoken { Terminal.error.line("\(server) takes batches again") }
    }

    func stop() {
        lock.withLock {
            isStopping = true
            lock.signal()
        }
    }

    private func run() {
        while true {
            let (isOver, line) = lock.withLock { () -> (Bool, String?) in
                if !isStopping { lock.wait(until: WallClock.monotonic() + 500_000_000) }
                guard !isStopping, var wait else { return (isStopping, nil) }
                let waited = Double(WallClock.monotonic() - wait.began) / 1e9
                let line = wait.notice.line("\(server): \(wait.reason)", waited: waited)
                self.wait = wait
                return (false, line)
            }
            if let line { Terminal.error.line(line) }
            if isOver { return }
        }
    }
}
