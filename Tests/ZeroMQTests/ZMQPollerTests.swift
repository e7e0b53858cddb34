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

    @Test func theWaitEndsWithItsTime() {
        let poller = ZMQPoller()
        let begin = WallClock.monotonic()
        poller.wait(milliseconds: 20)
        #expect(WallClock.monotonic() - begin >= 19_000_000)
    }

    @Test func interestDecidesWhatIsReported() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        let dealer = try fabric.dealer(routingID("d"))
        try introduce(dealer, to: router)
        let poller = ZMQPoller()
        let source = poller.add(dealer, .readable)
        poller.wait(milliseconds: 0)
        #expect(!poller.isReadable(source))
        #expect(!poller.isWritable(source))
        poller.setInterest(source, [.readable, .writable])
        poller.wait(milliseconds: 1_000)
        #expect(!poller.isReadable(source))
        #expect(poller.isWritable(source))
        #expect(router.send(to: try routingID("d"), head: [1]) == .sent)
        poller.setInterest(source, .readable)
        try awaitCondition {
            poller.wait(milliseconds: 100)
            return poller.isReadable(source)
        }
    }
}
