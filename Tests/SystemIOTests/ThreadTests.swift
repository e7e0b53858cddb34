import Glibc
import SystemIO
import TestSupport
import Testing

/// Threads, and how they wait for one another.
@Suite struct ThreadTests {
    private static let second: Int64 = 1_000_000_000

    @Test func joiningWaitsForTheBody() {
        let steps = Locked<[String]>([])
        let mayEnd = Locked(false)
        let thread = DedicatedThread("test") {
            steps.update { $0.append("begun") }
            _ = mayEnd.wait { $0 }
            steps.update { $0.append("done") }
        }
        #expect(steps.wait { $0 == ["begun"] })
        mayEnd.update { $0 = true }
        thread.join()
        #expect(steps.current == ["begun", "done"])
    }

    /// Signals are delivered to the thread that waits for them, but a signal raised by a fault must end the process at
    /// once.
    @Test func dedicatedThreadsBlockSignals() {
        let blocked = Locked<[Int32: Bool]>([:])
        DedicatedThread("test") {
            var set = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &set)
            let state = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGSEGV, SIGABRT, SIGBUS].map {
                ($0, sigismember(&set, $0) == 1)
            }
            blocked.update { $0 = Dictionary(uniqueKeysWithValues: state) }
        }.join()
        #expect(
            blocked.current == [
                SIGTERM: true, SIGINT: true, SIGHUP: true, SIGUSR1: true, SIGSEGV: false,
                SIGABRT: false, SIGBUS: false,
            ]
        )
    }

    @Test func aConditionWakesItsWaiter() {
        let condition = ConditionLock()
        let items = Guarded()
        let taken = Locked(0)
        let thread = DedicatedThread("test") {
            for _ in 0..<1_000 {
                condition.withLock {
                    while items.count == 0 {
                        condition.wait(until: WallClock.monotonic() + 30 * Self.second)
                    }
                    items.count -= 1
                }
                taken.update { $0 += 1 }
            }
        }
        for _ in 0..<1_000 {
            condition.withLock {
                items.count += 1
                condition.signal()
            }
        }
        #expect(taken.wait { $0 == 1_000 })
        thread.join()
        #expect(items.count == 0)
    }

    /// Guarded by the condition of the test.
    private final class Guarded: @unchecked Sendable { var count = 0 }

    @Test func waitingEndsAtTheDeadlineAndHoldsTheLock() {
        let condition = ConditionLock()
        let deadline = WallClock.monotonic() + Self.second / 20
        condition.lock()
        while WallClock.monotonic() < deadline { condition.wait(until: deadline) }
        #expect(WallClock.monotonic() < deadline + 10 * Self.second)
        // The lock is held: another thread gets it only after the unlock.
        let isUnlocked = Locked(false)
        let seen = Locked<Bool?>(nil)
        let thread = DedicatedThread("test") {
            condition.withLock { seen.update { $0 = isUnlocked.current } }
        }
        isUnlocked.update { $0 = true }
        condition.unlock()
        thread.join()
        #expect(seen.current == true)
        // A deadline that has passed does not block.
        condition.withLock { condition.wait(until: 0) }
    }

    @Test func anErrorReleasesTheLock() {
        let condition = ConditionLock()
        #expect(throws: SystemError.self) {
            try condition.withLock { throw SystemError(errno: EIO, call: "", subject: "") }
        }
        DedicatedThread("test") { condition.withLock {} }.join()
    }

    @Test func aWakeupIsReadableUntilItIsCleared() throws {
        let wakeup = try Wakeup()
        func isReadable(_ milliseconds: Int32 = 0) -> Bool {
            var entry = pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&entry, 1, milliseconds) == 1
        }
        #expect(!isReadable())
        wakeup.clear()
        for _ in 0..<3 { wakeup.signal() }
        #expect(isReadable() && isReadable())
        wakeup.clear()
        #expect(!isReadable())
        let thread = DedicatedThread("test") { wakeup.signal() }
        #expect(isReadable(30_000))
        thread.join()
    }

    @Test func clocksGoForward() {
        var last = WallClock.monotonic()
        for _ in 0..<1_000 {
            let next = WallClock.monotonic()
            #expect(next >= last)
            last = next
        }
        // After 2025, before 2200.
        #expect(
            (1_735_000_000 * Self.second...7_258_000_000 * Self.second).contains(WallClock.now())
        )
    }
}
