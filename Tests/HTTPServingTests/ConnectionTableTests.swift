import Testing
import TraceModel

@testable import HTTPServing

/// When connections are ended. Times are in seconds, like the limits.
@Suite struct ConnectionTableTests {
    private typealias Ending = ConnectionTable.Ending

    private static var bounds: HTTPBounds {
        var bounds = HTTPBounds()
        bounds.connections = 3
        bounds.headSeconds = 10
        bounds.idleSeconds = 60
        bounds.progressSeconds = 30
        bounds.stallSeconds = 2
        bounds.replySeconds = 5
        bounds.lingerSeconds = 1
        bounds.heldBytes = 100
        return bounds
    }

    private var table = ConnectionTable(bounds)

    private static func at(_ seconds: Double) -> Int64 { Int64(seconds * 1e9) }

    /// Opens a connection and starts a request on it.
    private mutating func request(_ id: UInt64, at seconds: Double) {
        table.received(id, now: Self.at(seconds))
        table.tookHead(id, now: Self.at(seconds))
    }

    private mutating func expired(_ seconds: Double) -> [Ending] {
        table.expire(now: Self.at(seconds)).sorted { $0.id < $1.id }
    }

    // MARK: Time

    @Test mutating func theTimeOfAHeadDoesNotDependOnItsPieces() {
        table.opened(1, now: 0)
        table.opened(2, now: 0)
        for second in stride(from: 1.0, to: 10, by: 1) {
            table.received(1, now: Self.at(second))
            #expect(expired(second).isEmpty)
        }
        #expect(
            expired(10) == [
                Ending(id: 1, way: .refuse, reason: .slowHead),
                // A client that has sent nothing gets no reply.
                Ending(id: 2, way: .close, reason: .slowHead),
            ]
        )
        #expect(expired(10.9).isEmpty, "each once")
        #expect(expired(11) == [Ending(id: 1, way: .close, reason: nil)])
    }

    @Test mutating func aConnectionMayBeIdleBetweenRequests() {
        table.opened(1, now: 0)
        request(1, at: 1)
        #expect(expired(1_000).isEmpty, "the server's time is not the client's")
        table.replied(1, now: Self.at(1_000))
        #expect(expired(1_059.9).isEmpty)
        #expect(expired(1_060) == [Ending(id: 1, way: .close, reason: .idle)])
    }

    @Test mutating func theTimeOfTheNextHeadStartsAtItsFirstByte() {
        table.opened(1, now: 0)
        request(1, at: 0)
        table.replied(1, now: Self.at(1))
        table.received(1, now: Self.at(50))
        table.received(1, now: Self.at(59))
        #expect(expired(59.9).isEmpty)
        #expect(expired(60) == [Ending(id: 1, way: .refuse, reason: .slowHead)])
    }

    @Test mutating func theTimeOfAnEarlyPartialHeadStartsAtTheReply() {
        table.opened(1, now: 0)
        request(1, at: 0)
        table.received(1, now: Self.at(0))
        table.replied(1, now: Self.at(20))
        #expect(expired(29.9).isEmpty)
        #expect(expired(30) == [Ending(id: 1, way: .refuse, reason: .slowHead)])
    }

    @Test mutating func aReaderMustTakeSomething() {
        table.opened(1, now: 0)
        request(1, at: 0)
        table.wrote(1, bytes: 20, now: Self.at(100))
        for second in stride(from: 120.0, through: 400, by: 20) {
            table.sent(1, bytes: 1, now: Self.at(second))
            #expect(expired(second + 19).isEmpty)
        }
        #expect(expired(429.9).isEmpty)
        #expect(expired(430) == [Ending(id: 1, way: .reset, reason: .slowReader)])
    }

    @Test mutating func aRequestThatWaitsForTheServerIsNotSlow() {
        table.opened(1, now: 0)
        request(1, at: 0)
        table.wrote(1, bytes: 20, now: Self.at(1))
        table.sent(1, bytes: 20, now: Self.at(2))
        #expect(expired(1_000).isEmpty)
    }

    // MARK: Places

    @Test mutating func theOldestConnectionWithoutARequestGivesWay() {
        for id in 1...3 { table.opened(UInt64(id), now: Self.at(Double(id))) }
        request(1, at: 4)
        table.replied(1, now: Self.at(5))
        request(3, at: 5)
        #expect(table.hasRoom(now: Self.at(6)))
        #expect(table.makeRoom(now: Self.at(6)) == nil, "there is no need yet")
        table.opened(4, now: Self.at(6))
        let ending = table.makeRoom(now: Self.at(6))
        #expect(ending == Ending(id: 2, way: .close, reason: .displaced))
        #expect(table.isCut(2) && !table.isCut(1))
        #expect(table.makeRoom(now: Self.at(6)) == nil, "one for one")
    }

    @Test mutating func readersHaveTheirTimeBeforeTheyGiveWay() {
        for id in UInt64(1)...3 {
            table.opened(id, now: 0)
            request(id, at: Double(id))
        }
        for id in UInt64(2)...3 { table.wrote(id, bytes: 9, now: Self.at(3)) }
        // The first one waits for the server, and the others are within their 2 s.
        #expect(!table.hasRoom(now: Self.at(4.9)))
        #expect(table.hasRoom(now: Self.at(5)))
        for id in UInt64(2)...3 { table.sent(id, bytes: 1, now: Self.at(5)) }
        // They are also within their 5 s.
        #expect(!table.hasRoom(now: Self.at(6.9)))
        #expect(table.hasRoom(now: Self.at(7)))
        table.opened(4, now: Self.at(7))
        request(4, at: 7)
        let ending = table.makeRoom(now: Self.at(7))
        #expect(ending == Ending(id: 2, way: .reset, reason: .displaced))
    }

    @Test mutating func theReaderThatTakesNothingGivesWay() {
        for id in UInt64(1)...4 {
            table.opened(id, now: 0)
            request(id, at: 0)
            table.wrote(id, bytes: 9, now: Self.at(10))
        }
        for id in [UInt64(1), 2, 4] { table.sent(id, bytes: 1, now: Self.at(12)) }
        let ending = table.makeRoom(now: Self.at(12))
        #expect(ending == Ending(id: 3, way: .reset, reason: .displaced))
    }

    @Test mutating func lingeringConnectionsAreClosedFirstAndCountedOnce() {
        for id in 1...3 { table.opened(UInt64(id), now: 0) }
        table.lingers(3, now: Self.at(1))
        table.opened(4, now: Self.at(1))
        let ending = table.makeRoom(now: Self.at(1))
        #expect(ending == Ending(id: 3, way: .close, reason: nil))
    }

    /// However many clients connect, the limit holds, and a fast connection is never the one that is closed.
    @Test mutating func aFloodOfSilentConnectionsCostsOnlyItself() {
        table.opened(1, now: 0)
        request(1, at: 0)
        for id in UInt64(2)...500 {
            let now = Self.at(Double(id) / 100)
            #expect(table.hasRoom(now: now))
            table.opened(id, now: now)
            if let ending = table.makeRoom(now: now) {
                #expect(ending.id != 1 && ending.id != id)
                table.closed(ending.id)
            }
        }
        #expect(!table.isCut(1) && !table.isCut(500) && !table.isCut(499))
        #expect(table.isCut(498), "three are open")
    }

    // MARK: Bodies

    @Test mutating func theSlowestReaderOfTheOldestBodyIsCut() {
        for id in UInt64(1)...4 {
            table.opened(id, now: 0)
            request(id, at: 0)
            table.wrote(id, bytes: 60, now: 0)
        }
        table.holds(1, serial: 7, bytes: 60)
        table.holds(2, serial: 7, bytes: 60)
        table.sent(1, bytes: 20, now: 0)
        table.sent(2, bytes: 10, now: 0)
        table.holds(3, serial: 8, bytes: 60)
        #expect(table.freeBodies() == nil, "60 bytes beside the newest body")
        table.holds(4, serial: 9, bytes: 1_000)
        #expect(table.freeBodies() == Ending(id: 2, way: .reset, reason: .heldBody))
        #expect(table.freeBodies() == Ending(id: 1, way: .reset, reason: .heldBody))
        #expect(table.freeBodies() == nil, "60 bytes again")
    }

    @Test mutating func aBodyIsHeldUntilItsReplyIsSent() {
        for id in UInt64(1)...3 {
            table.opened(id, now: 0)
            request(id, at: 0)
        }
        table.holds(1, serial: 1, bytes: 90)
        table.holds(2, serial: 2, bytes: 90)
        table.replied(1, now: 0)
        table.holds(3, serial: 3, bytes: 90)
        #expect(table.freeBodies() == nil)
        table.closed(2)
        table.holds(1, serial: 4, bytes: 90)
        #expect(table.freeBodies() == nil)
    }

    /// A body that many readers share counts once.
    @Test mutating func readersShareABody() {
        for id in UInt64(1)...100 {
            table.opened(id, now: 0)
            request(id, at: 0)
            table.holds(id, serial: 1, bytes: 100)
        }
        table.holds(1, serial: 2, bytes: 1)
        #expect(table.freeBodies() == nil)
    }
}
