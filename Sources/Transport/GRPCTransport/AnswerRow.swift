internal import CGRPC

/// Answers to unary calls that go out together: those of one connection in one write to its socket, and no
/// poller wakes up for the end of each. Answered one by one, every call costs a write of its own, and a poller
/// that waits is woken for it; for calls that came many at once that is a sixth of all that a server does.
///
/// It takes two functions of the core that no public header declares (`shim.h`); with a core other than the one
/// they are known for, the answers go out one by one.
@safe
package struct AnswerRow: ~Copyable {
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
                        unsafe context?.assumingMemoryBound(to: Body.self)
                            .pointee(AnswerRow(isInCore: true))
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
