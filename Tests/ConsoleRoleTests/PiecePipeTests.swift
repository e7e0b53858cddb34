import HTTPServing
import Testing
import TraceModel

@testable import ConsoleRole

/// Tests the way of a body from its thread to its connection.
@Suite struct PiecePipeTests {
    /// Something that ends a body.
    private struct Broken: Error, Equatable {}

    private static func context(seconds: Double = 30) -> QueryContext {
        QueryContext(peer: HTTPPeer(), seconds: seconds)
    }

    /// All pieces arrive in order, however few may wait.
    @Test(arguments: [1, 100, 1 << 20]) func piecesArriveInOrder(_ bytesMax: Int) async throws {
        let pipe = PiecePipe(bytesMax: bytesMax)
        let threads = QueryThreads("test", count: 1, waitingMax: 1, waitSeconds: 1)
        let writer = Task {
            try await threads.run {
                for number in 0..<500 {
                    try pipe.put([UInt8](repeating: UInt8(number % 256), count: 7), Self.context())
                }
                pipe.finish(.success(()))
            }
        }
        for number in 0..<500 {
            #expect(try await pipe.next() == [UInt8](repeating: UInt8(number % 256), count: 7))
        }
        #expect(try await pipe.next().isEmpty)
        #expect(try await pipe.next().isEmpty)
        try await writer.value
        threads.stop()
    }

    @Test func anErrorFollowsThePiecesBeforeIt() async throws {
        let pipe = PiecePipe(bytesMax: 100)
        try pipe.put([1], Self.context())
        pipe.finish(.failure(Broken()))
        pipe.finish(.success(()))
        #expect(try await pipe.next() == [1])
        await #expect(throws: Broken.self) { try await pipe.next() }
    }

    /// A writer waits where nobody reads, but not beyond its deadline.
    @Test func aWriterThatNobodyReadsEnds() throws {
        let pipe = PiecePipe(bytesMax: 1)
        try pipe.put([1], Self.context())
        #expect(throws: QueryFailure.late) { try pipe.put([2], Self.context(seconds: 0.05)) }
    }
}
