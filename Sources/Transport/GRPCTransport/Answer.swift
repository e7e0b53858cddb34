internal import CGRPC
internal import Synchronization

/// A gRPC status code, with its number on the wire.
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
    /// Never sent by a running server, as it makes a NeuTracer agent stop sending for good.
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16
}

/// A metadata element that follows an answer, or precedes a client's request. The name is lower case; the value of a name that ends in `-bin` may
/// contain any bytes. An answer has at most `countMax` of them.
package struct GRPCTrailer: Sendable, Equatable {
    package static let countMax = 4

    package let name: String
    package let bytes: [UInt8]

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }
}

/// The status that ends a call: code, text for a person, trailers.
struct Answer: Sendable {
    let status: GRPCStatus
    let message: String
    let trailers: [GRPCTrailer]

    /// Calls `body` with the C form, which is valid only during the call.
    func withC<Result>(
        _ body: (
            _ text: UnsafeRawBufferPointer, _ pairs: UnsafePointer<trace_grpc_pair>?,
            _ pairCount: Int
        ) -> Result
    ) -> Result {
        var text = message
        return text.withUTF8 { text in
            let text = UnsafeRawBufferPointer(text)
            return unsafe GRPCTrailer.withC(trailers) { unsafe body(text, $0, $1) }
        }
    }
}

extension GRPCTrailer {
    /// Calls `body` with the C form of at most `countMax` elements, which is valid only during the call.
    static func withC<Result>(
        _ elements: [GRPCTrailer],
        _ body: (_ pairs: UnsafePointer<trace_grpc_pair>?, _ pairCount: Int) -> Result
    ) -> Result {
        precondition(elements.count <= countMax)
        if elements.isEmpty { return body(nil, 0) }
        return unsafe withPairs(elements[...], []) { pairs in
            unsafe pairs.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
        }
    }

    private static func withPairs<Result>(
        _ elements: ArraySlice<GRPCTrailer>,
        _ pairs: [trace_grpc_pair],
        _ body: ([trace_grpc_pair]) -> Result
    ) -> Result {
        guard let element = elements.first else { return unsafe body(pairs) }
        return unsafe element.name.withCString { name in
            unsafe element.bytes.withUnsafeBufferPointer { bytes in
                let pair = unsafe trace_grpc_pair(
                    key: name,
                    value: bytes.baseAddress,
                    value_count: bytes.count
                )
                return unsafe withPairs(elements.dropFirst(), pairs + [pair], body)
            }
        }
    }
}

/// Sends answers to several unary calls together: those of one connection in one write to its socket, and without
/// waking a poller for each completion. For many concurrent calls, individual writes and wake-ups are a sixth of a
/// server's CPU time.
///
/// It uses a function of the core that no public header declares (core.h). With an unknown version of the core, the
/// answers are sent one by one.
@safe package struct AnswerBatch: ~Copyable {
    private let isInCore: Bool

    /// Calls `body` once on this thread; its answers are sent when this returns.
    package static func send(_ body: (borrowing AnswerBatch) -> Void) {
        guard GRPCLibrary.knowsCore else {
            return body(AnswerBatch(isInCore: false))
        }
        withoutActuallyEscaping(body) { body in
            var body = body
            unsafe withUnsafeMutablePointer(to: &body) { pointer in
                unsafe trace_grpc_in_core_context(
                    { context in
                        typealias Body = (borrowing AnswerBatch) -> Void
                        unsafe context?.assumingMemoryBound(to: Body.self).pointee(
                            AnswerBatch(isInCore: true)
                        )
                    },
                    pointer
                )
            }
        }
    }

    /// Answers OK with a message, as `GRPCUnaryCall.reply` does; copies it.
    package func reply(to call: GRPCUnaryCall, _ bytes: [UInt8]) {
        if isInCore { call.reply(inCore: bytes) } else { call.reply(bytes) }
    }
}

/// Holds back answers to unary calls while a server sends its GOAWAY frames.
///
/// A call that a client starts while its core processes a GOAWAY may fail if the client has transparent retries
/// disabled or is too old for them. A client that waits for an answer starts no call.
///
/// The answers are sent as one batch. With the last of them the core closes the connection at once, and closing a
/// socket with unread data (a client pings when answers arrive) resets it: bytes that TCP's congestion window still
/// held back, as happens with many small segments, would be lost, and the answers with them.
final class WithheldAnswers: Sendable {
    /// The withheld answers.
    private struct State {
        var isActive = false
        var answers: [(call: GRPCUnaryCall, message: [UInt8])] = []
    }

    /// Read before each answer; the lock is taken only while it is set.
    private let isActive = Atomic<Bool>(false)
    private let state = Mutex(State())

    /// Starts holding answers back.
    func begin() {
        state.withLock { $0.isActive = true }
        isActive.store(true, ordering: .releasing)
    }

    /// Sends all held answers and stops holding them back.
    func end() {
        isActive.store(false, ordering: .releasing)
        let answers = state.withLock { state in
            defer { state = State() }
            return state.answers
        }
        AnswerBatch.send { batch in
            for (call, message) in answers { batch.reply(to: call, message) }
        }
    }

    /// Returns true if the answer was held back for later, with `message` copied.
    func keep(_ call: GRPCUnaryCall, _ message: UnsafeRawBufferPointer) -> Bool {
        guard isActive.load(ordering: .acquiring) else { return false }
        return state.withLock { state in
            guard state.isActive else { return false }
            unsafe state.answers.append((call, [UInt8](message)))
            return true
        }
    }
}
