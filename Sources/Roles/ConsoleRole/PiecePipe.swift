import SystemIO
import TraceModel

/// Hands a body over in pieces from the thread that makes it to the connection that sends it. Memory is bounded: the
/// thread waits while the connection is behind.
final class PiecePipe: @unchecked Sendable {
    private let bytesMax: Int
    private let lock = ConditionLock()
    /// Protected by the lock, like what follows.
    private var pieces: [[UInt8]] = []
    private var bytes = 0
    private var end: Result<Void, any Error>?
    /// The reader, if it waits for a piece.
    private var reader: CheckedContinuation<[UInt8], any Error>?
    /// Interval at which a writer that waits checks whether its client has gone.
    private static let checkNanoseconds: Int64 = 50_000_000

    init(bytesMax: Int = Limits.consolePipeBytes) { self.bytesMax = bytesMax }

    /// Adds a piece, which is not empty. Blocks while there are too many.
    /// - Throws: `QueryFailure` if the query has to end meanwhile.
    func put(_ piece: [UInt8], _ context: QueryContext) throws(QueryFailure) {
        while true {
            try context.check()
            let (isTaken, reader) = lock.withLock {
                () -> (Bool, CheckedContinuation<[UInt8], any Error>?) in
                if let reader = self.reader {
                    self.reader = nil
                    return (true, reader)
                }
                guard bytes < bytesMax else {
                    lock.wait(until: WallClock.monotonic() + Self.checkNanoseconds)
                    return (false, nil)
                }
                pieces.append(piece)
                bytes += piece.count
                return (true, nil)
            }
            reader?.resume(returning: piece)
            if isTaken { return }
        }
    }

    /// Ends the body; only the first call counts. The reader gets the pieces before it.
    func finish(_ result: Result<Void, any Error>) {
        let reader = lock.withLock { () -> CheckedContinuation<[UInt8], any Error>? in
            if end == nil { end = result }
            defer { self.reader = nil }
            return self.reader
        }
        reader?.resume(with: result.map { [] })
    }

    /// Returns the next piece; an empty one at the end. One reader at a time.
    /// - Throws: What the body ended with.
    func next() async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { continuation in
            let result = lock.withLock { () -> Result<[UInt8], any Error>? in
                if !pieces.isEmpty {
                    let piece = pieces.removeFirst()
                    bytes -= piece.count
                    lock.signal()
                    return .success(piece)
                }
                if let end { return end.map { [] } }
                reader = continuation
                return nil
            }
            if let result { continuation.resume(with: result) }
        }
    }
}
