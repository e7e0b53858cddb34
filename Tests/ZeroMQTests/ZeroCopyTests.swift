import Testing
import ZeroMQ

@Suite struct ZeroCopyTests {
    @Test(arguments: [1, 8_191, 8_192, 1 << 16, 20 << 20])
    func bytesArriveAndTheirOwnerIsReleasedOnce(
        _ count: Int
    ) throws {
        let releases = SharedBytes.Releases()
        try {
            let fabric = try Fabric()
            let router = try fabric.router()
            let name = try routingID("w")
            let dealer = try fabric.dealer(name)
            try introduce(dealer, to: router)
            do {
                let shared = SharedBytes(count: count, releases)
                #expect(router.send(to: name, head: [1], [shared.frame]) == .sent)
            }
            let message = try awaitMessage(dealer)
            try #require(message.frameCount == 2)
            let expected = SharedBytes(count: count, SharedBytes.Releases())
            #expect(message.frame(1).elementsEqual(expected.bytes))
            try awaitCondition { releases.value == 1 }
        }()
        #expect(releases.value == 1)
    }

    @Test func theOwnerOfARefusedMessageIsReleasedOnce() throws {
        let releases = SharedBytes.Releases()
        let fabric = try Fabric()
        let router = try fabric.router()
        let dealer = try fabric.dealer(routingID("alone"))
        _ = dealer
        do {
            let shared = SharedBytes(count: 1 << 16, releases)
            #expect(router.send(to: try routingID("nobody"), [shared.frame]) == .noSuchPeer)
            #expect(releases.value == 0)
        }
        #expect(releases.value == 1)
    }

    @Test func theOwnerOfAnUnconnectedDealersMessageIsReleasedOnce() throws {
        let releases = SharedBytes.Releases()
        let fabric = try Fabric()
        let dealer = try fabric.dealer(routingID("alone"))
        do {
            let shared = SharedBytes(count: 1 << 16, releases)
            #expect(dealer.send([shared.frame]) == .wouldBlock)
        }
        #expect(releases.value == 1)
    }

    @Test func ownersOfQueuedMessagesAreReleasedWithTheContext() throws {
        let releases = SharedBytes.Releases()
        let count = 50
        try {
            let fabric = try Fabric()
            let router = try fabric.router()
            let name = try routingID("silent")
            let dealer = try fabric.dealer(name, queueMessagesMax: 1)
            try introduce(dealer, to: router)
            for _ in 0..<count {
                let shared = SharedBytes(count: 1 << 20, releases)
                #expect(router.send(to: name, head: [1], [shared.frame]) == .sent)
            }
            #expect(releases.value < count)
        }()
        #expect(releases.value == count)
    }
}
