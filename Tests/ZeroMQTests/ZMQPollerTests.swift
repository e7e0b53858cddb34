import SystemIO
import Testing
import ZeroMQ

@Suite struct ZMQPollerTests {
    @Test func aWakeupFromAnotherThreadEndsTheWait() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        let wakeup = try Wakeup()
        let poller = ZMQPoller()
        let socketSource = poller.add(router)
        let wakeupSource = poller.add(descriptor: wakeup.descriptor)
        poller.wait(milliseconds: 0)
        #expect(!poller.isReadable(wakeupSource))

        let thread = DedicatedThread("waker") { wakeup.signal() }
        defer { thread.join() }
        let begin = WallClock.monotonic()
        while !poller.isReadable(wakeupSource) {
            try #require(WallClock.monotonic() - begin < 10_000_000_000)
            poller.wait(milliseconds: 10_000)
        }
        #expect(!poller.isReadable(socketSource))
        wakeup.clear()
        poller.wait(milliseconds: 0)
        #expect(!poller.isReadable(wakeupSource))
    }

    @Test func theWaitEndsAtItsTimeout() {
        let poller = ZMQPoller()
        let begin = WallClock.monotonic()
        poller.wait(milliseconds: 20)
        #expect(WallClock.monotonic() - begin >= 19_000_000)
    }
}
