import Testing
import ZeroMQ

@Suite struct ZMQSocketTests {
    @Test func aMessageRoundTrips() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        let name = try routingID("function.3.e17")
        let dealer = try fabric.dealer(name)

        try awaitWritable(dealer)
        #expect(
            dealer.send(head: [7, 8], [.copied(UnsafeRawBufferPointer(start: nil, count: 0))])
                == .sent
        )
        let hello = try awaitMessage(router)
        #expect(hello.sender == name)
        #expect(hello.frameCount == 2)
        #expect(Array(hello.frame(0)) == [7, 8])
        #expect(hello.frame(1).isEmpty)

        #expect(router.send(to: name, head: [9]) == .sent)
        let answer = try awaitMessage(dealer)
        #expect(answer.sender == nil)
        #expect(answer.frameCount == 1)
        #expect(Array(answer.frame(0)) == [9])
        #expect(!receivesSomething(dealer))
    }

    @Test func messagesOfOnePeerKeepTheirOrder() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        let dealer = try fabric.dealer(routingID("a"))
        try awaitWritable(dealer)
        for number in UInt8.min...UInt8.max { #expect(dealer.send(head: [number]) == .sent) }
        for number in UInt8.min...UInt8.max {
            let message = try awaitMessage(router)
            #expect(Array(message.frame(0)) == [number])
        }
    }

    @Test func anUnknownPeerIsReported() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        #expect(router.send(to: try routingID("nobody"), head: [1]) == .noSuchPeer)
        // The refused message left no partial message.
        let name = try routingID("somebody")
        let dealer = try fabric.dealer(name)
        try introduce(dealer, to: router)
        #expect(router.send(to: name, head: [2]) == .sent)
        #expect(try awaitHead(dealer) == [2])
    }

    @Test func anUnconnectedDealerQueuesNothing() throws {
        let fabric = try Fabric()
        let dealer = try fabric.dealer(routingID("early"))
        #expect(dealer.send(head: [1]) == .wouldBlock)
        let router = try fabric.router()
        try awaitWritable(dealer)
        #expect(dealer.send(head: [2]) == .sent)
        #expect(try awaitHead(router) == [2])
    }

    @Test func aPeerThatDoesNotReadFillsItsQueue() throws {
        let fabric = try Fabric()
        let router = try fabric.router(queueMessagesMax: 4)
        let name = try routingID("slow")
        let dealer = try fabric.dealer(name, queueMessagesMax: 4)
        try introduce(dealer, to: router)
        let large = [UInt8](repeating: 5, count: 1 << 20)
        var sent = 0
        while router.send(to: name, head: large) == .sent {
            sent += 1
            try #require(sent < 1_000, "the queue has no bound")
        }
        #expect(router.send(to: name, head: large) == .wouldBlock)
        for _ in 0..<sent { #expect(try awaitHead(dealer) == large) }
        // There is room again: the same peer accepts more.
        try awaitCondition { router.send(to: name, head: [6]) == .sent }
        #expect(try awaitHead(dealer) == [6])
    }

    @Test func aMessageOfTooManyFramesIsDiscardedWhole() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        // This project's dealer refuses to send such a message.
        let stranger = try RawDealer(fabric.endpoint)
        let most = ZMQMessage.frameCountMax
        for count in [most + 3, most + 1, most] { #expect(stranger.send(frameCount: count)) }
        let message = try awaitMessage(router)
        #expect(message.frameCount == most)
        #expect(router.discardedMessages == 2)
    }

    @Test func aDealerConnectsAgainToARestartedRouter() throws {
        let fabric = try Fabric()
        let name = try routingID("worker")
        let dealer = try fabric.dealer(name)
        try serveOnce(fabric, dealer, answer: 1)
        try awaitCondition { dealer.send(head: [0]) != .sent }
        while receivesSomething(dealer) {}
        try serveOnce(fabric, dealer, answer: 2)
    }

    @Test func aRestartedDealerHasItsOwnName() throws {
        let fabric = try Fabric()
        let router = try fabric.router()
        let first = try routingID("function.0.e1")
        let second = try routingID("function.0.e2")
        do {
            let dealer = try fabric.dealer(first)
            try introduce(dealer, to: router)
        }
        let dealer = try fabric.dealer(second)
        try introduce(dealer, to: router)
        try awaitCondition { router.send(to: first, head: [1]) == .noSuchPeer }
        #expect(router.send(to: second, head: [2]) == .sent)
        #expect(try awaitHead(dealer) == [2])
    }

    @Test(arguments: ["", "\u{0}x", String(repeating: "x", count: 256)])
    func aBadRoutingIDIsRefused(_ text: String) {
        #expect(RoutingID(text) == nil)
    }

    private func receivesSomething(_ socket: ZMQSocket) -> Bool {
        switch socket.receive() {
        case .some: true
        case .none: false
        }
    }

    private func serveOnce(_ fabric: Fabric, _ dealer: ZMQSocket, answer: UInt8) throws {
        let router = try fabric.router()
        try introduce(dealer, to: router)
        #expect(router.send(to: try routingID("worker"), head: [answer]) == .sent)
        #expect(try awaitHead(dealer) == [answer])
    }
}
