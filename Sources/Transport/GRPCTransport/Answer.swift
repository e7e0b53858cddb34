internal import CGRPC
internal import Synchronization

/// The status codes of gRPC, by their numbers on the wire.
package enum GRPCStatus: Int32, Sendable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    /// Makes a NeuTracer agent stop sending for good: a living server never answers it.
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16
}

/// One element of metadata sent after an answer. The name is lower case; one that ends in `-bin` may
/// carry any bytes. An answer takes at most four.
package struct GRPCTrailer: Sendable, Equatable {
    package static let countMax = 4

    package let name: String
    package let bytes: [UInt8]

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }
}

/// The end of a call: status, text for a person, trailers.
struct Answer: Sendable {
    let status: GRPCStatus
    let message: String
    let trailers: [GRPCTrailer]

    /// Calls `body` with the C form, valid only meanwhile.
    func withC<Result>(
        _ body: (_ text: UnsafeRawBufferPointer, _ pairs: UnsafePointer<trace_grpc_pair>?, _ pairCount: Int) -> Result
    ) -> Result {
        precondition(trailers.count <= GRPCTrailer.countMax)
        var text = message
        return text.withUTF8 { text in
            let text = UnsafeRawBufferPointer(text)
            if trailers.isEmpty { return unsafe body(text, nil, 0) }
            return unsafe withPairs(0, []) { pairs in
                unsafe pairs.withUnsafeBufferPointer { unsafe body(text, $0.baseAddress, $0.count) }
            }
        }
    }

    private func withPairs<Result>(
        _ index: Int, _ pairs: [trace_grpc_pair], _ body: ([trace_grpc_pair]) -> Result
    ) -> Result {
        guard index < trailers.count else { return unsafe body(pairs) }
        return unsafe trailers[index].name.withCString { name in
            unsafe trailers[index].bytes.withUnsafeBufferPointer { bytes in
                let pair = unsafe trace_grpc_pair(key: name, value: bytes.baseAddress, value_count: bytes.count)
                return unsafe withPairs(index + 1, pairs + [pair], body)
            }
        }
    }
}

/// Answers to unary calls that go out together: those of one connection in one write to its socket, and no
/// poller wakes up for the end of each. Answered one by one, every call costs a write of its own, and a poller
/// that waits is woken for it; for calls that came many at once that is a sixth of all that a server does.
///
/// It takes two functions of the core that no public header declares (`shim.h`); with a core other than the one
/// they are known for, the answers go out one by one.
@safe package struct AnswerRow: ~Copyable {
    private let isInCore: Bool

    /// Calls `body` once, on this thread; what it answers is on its way when this returns.
    package static func send(_ body: (borrowing AnswerRow) -> Void) {
        guard trace_grpc_can_start_together() != 0 else { return body(AnswerRow(isInCore: false)) }
        withoutActuallyEscaping(body) { body in
            var body = body
            unsafe withUnsafeMutablePointer(to: &body) { pointer in
                unsafe trace_grpc_in_core_context(
                    { context in
                        typealias Body = (borrowing AnswerRow) -> Void
                        unsafe context?.assumingMemoryBound(to: Body.self).pointee(AnswerRow(isInCore: true))
                    }, pointer)
            }
        }
    }

    /// Answers OK with a message, as `GRPCUnaryCall.reply` does; copies it.
    package func reply(to call: GRPCUnaryCall, _ bytes: [UInt8]) {
        if isInCore { call.reply(inCore: bytes) } else { call.reply(bytes) }
    }
}

/// Answers to unary calls kept back for the moment in which a server tells its clients to go elsewhere.
///
/// A client that begins a call while its core takes note of that may see the call fail, where it is told
/// not to begin such a call anew by itself (or is too old to). One that waits for an answer begins none.
///
/// They go out as one row. With the last of them the core closes the connection at once, and a socket closed
/// while something unread lies in it (a client pings when answers come) is reset: what TCP's congestion
/// window had kept back by then, as it does with many small segments, is lost, and with it those answers.
final class WithheldAnswers: Sendable {
    private struct State {
        var isActive = false
        var answers: [(call: GRPCUnaryCall, message: [UInt8])] = []
    }

    /// Read before each answer; the lock is only taken while it is set.
    private let isActive = Atomic<Bool>(false)
    private let state = Mutex(State())

    /// From now on answers are kept back.
    func begin() {
        state.withLock { $0.isActive = true }
        isActive.store(true, ordering: .releasing)
    }

    /// Gives all answers, and keeps none back any more.
    func end() {
        isActive.store(false, ordering: .releasing)
        let answers = state.withLock { state in
            defer { state = State() }
            return state.answers
        }
        AnswerRow.send { row in for (call, message) in answers { row.reply(to: call, message) } }
    }

    /// True: the answer is given later. Copies `message` then.
    func keep(_ call: GRPCUnaryCall, _ message: UnsafeRawBufferPointer) -> Bool {
        guard isActive.load(ordering: .acquiring) else { return false }
        return state.withLock { state in
            guard state.isActive else { return false }
            unsafe state.answers.append((call, [UInt8](message)))
            return true
        }
    }
}
