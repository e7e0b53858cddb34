import Testing

@testable import GRPCTransport

/// Which connections must give way when partial messages or open calls take all their room.
@Suite struct ReceiveBudgetTests {
    private static let second: Int64 = 1_000_000_000

    private static let configuration = {
        var configuration = GRPCServerConfiguration()
        configuration.smallMessageBytesMax = 100
        configuration.smallPartialBytesMax = 1_000
        configuration.largePartialBytesMax = 10_000
        configuration.uploadBytesPerSecondMin = 50
        configuration.callBytesMax = 5_000
        return configuration
    }()

    private var budget = ReceiveBudget(Self.configuration)

    private mutating func decide(
        _ connections: [MeteredConnection],
        at seconds: Double
    ) -> [ReceiveBudget.Action] {
        budget.decide(connections, now: 1 + Int64(seconds * Double(Self.second)))
    }

    private func connection(
        _ descriptor: Int32,
        partial: Int,
        data: Int = 0,
        paused: Int64? = nil,
        isPrivileged: Bool = false
    ) -> MeteredConnection {
        MeteredConnection(
            descriptor: descriptor,
            partialBytes: partial,
            dataBytes: data,
            pausedSince: paused,
            isPrivileged: isPrivileged
        )
    }

    @Test func nothingIsDoneWhileThereIsRoom() {
        #expect(!budget.isNeeded(SocketMeters.Totals(smallBytes: 999, largeBytes: 9_999)))
        #expect(budget.isNeeded(SocketMeters.Totals(smallBytes: 1_000)))
        #expect(budget.isNeeded(SocketMeters.Totals(pausedConnections: 1)))
    }

    @Test mutating func theLongestWaitingConnectionContinues() {
        let waiting = [
            connection(1, partial: 6_000, paused: 20), connection(2, partial: 5_000, paused: 10),
        ]
        #expect(decide(waiting, at: 0) == [.setPrivileged(2, true)])
        var going = waiting
        going[1].isPrivileged = true
        going[1].pausedSince = nil
        #expect(decide(going, at: 0.1) == [])
        // The message is complete: the privilege ends.
        #expect(
            decide([connection(2, partial: 0, isPrivileged: true)], at: 0.2) == [
                .setPrivileged(2, false)
            ]
        )
    }

    @Test mutating func aSlowSenderIsRefusedThenClosed() {
        func both(_ data: Int) -> [MeteredConnection] {
            [
                connection(1, partial: 6_000, data: data),
                connection(2, partial: 6_000, paused: 10),
                // Fast enough.
                connection(3, partial: 200, data: 1_000 * data),
            ]
        }
        #expect(decide(both(1), at: 0) == [.setPrivileged(2, true)])
        #expect(decide(both(2), at: 1) == [.setPrivileged(2, true)])
        // Without its 6,000 bytes there is room again for the waiting connection.
        #expect(decide(both(3), at: 2.1) == [.refuse(1, .slowUpload), .setPrivileged(2, true)])
        #expect(!decide(both(3), at: 3).contains(.refuse(1, .slowUpload)))
        #expect(decide(both(3), at: 5.2).contains(.close(1, .slowUpload)))
    }

    @Test mutating func aWaitingConnectionIsNotSlow() {
        let members = [
            connection(1, partial: 6_000, paused: 10, isPrivileged: true),
            connection(2, partial: 6_000, paused: 20),
        ]
        for second in 0..<10 { #expect(decide(members, at: Double(second)) == []) }
    }

    @Test mutating func roomsAreIndependent() {
        // The large room is full, the small one is not: no small message is affected.
        let members = [
            connection(1, partial: 12_000, paused: 10), connection(2, partial: 90, data: 90),
        ]
        for second in 0..<5 {
            let actions = decide(members, at: Double(second))
            #expect(actions == [.setPrivileged(1, true)])
        }
    }

    @Test mutating func aFarTooLargeMessageIsRefused() {
        var oversized = connection(7, partial: 50, paused: 5)
        oversized.isOversized = true
        #expect(decide([oversized], at: 0) == [.refuse(7, .tooLarge)])
        #expect(decide([oversized], at: 1) == [])
        #expect(decide([oversized], at: 4) == [.close(7, .slowUpload)])
    }

    @Test mutating func connectionsWithTheMostAndOldestCallsGiveWay() {
        func calls(_ descriptor: Int32, bytes: Int, age: Int) -> MeteredConnection {
            MeteredConnection(
                descriptor: descriptor,
                callBytes: bytes,
                callByteSeconds: bytes * age
            )
        }
        let connections = [
            // Many young calls; few old ones; many old ones.
            calls(1, bytes: 3_000, age: 0), calls(2, bytes: 100, age: 60),
            calls(3, bytes: 2_500, age: 30),
        ]
        #expect(decide(connections, at: 0) == [.refuse(3, .idleCall)])
        #expect(decide(connections, at: 4) == [.close(3, .unreadAnswers)])
        #expect(decide(Array(connections.prefix(2)), at: 5) == [])
    }
}

@Suite struct IdleConnectionsTests {
    private static let now: Int64 = 1_000_000_000_000

    private func candidate(
        _ descriptor: Int32,
        _ host: String,
        idle seconds: Double,
        hasCalls: Bool = false
    ) -> IdleConnections.Candidate {
        IdleConnections.Candidate(
            descriptor: descriptor,
            host: host,
            lastActive: Self.now - Int64(seconds * 1e9),
            hasCalls: hasCalls
        )
    }

    private func choose(_ count: Int, _ candidates: [IdleConnections.Candidate]) -> [Int32] {
        IdleConnections.choose(count, of: candidates, hostMax: 2, now: Self.now)
    }

    @Test func idleForLongestFirst() {
        let candidates = [
            candidate(1, "a", idle: 5), candidate(2, "b", idle: 50), candidate(3, "c", idle: 0.5),
        ]
        #expect(choose(1, candidates) == [2])
        #expect(choose(9, candidates) == [2, 1])
    }

    @Test func openCallsKeepAConnectionLonger() {
        let candidates = [
            candidate(1, "a", idle: 20, hasCalls: true), candidate(2, "b", idle: 2),
            candidate(3, "c", idle: 31, hasCalls: true),
        ]
        #expect(choose(9, candidates) == [3, 2])
    }

    @Test func peersWithManyConnectionsGiveWayFirst() {
        let crowd = (10..<16).map { candidate($0, "crowd", idle: 2 + Double($0) / 100) }
        let others = [candidate(1, "a", idle: 500), candidate(2, "b", idle: 400)]
        #expect(choose(3, others + crowd) == [15, 14, 13])
        // Once it has no more than its share, it is treated like the others.
        #expect(choose(5, others + crowd) == [15, 14, 13, 12, 1])
    }
}
