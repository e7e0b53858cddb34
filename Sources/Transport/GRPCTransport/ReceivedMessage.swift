internal import CGRPC
internal import Synchronization

/// A received message in the C core's memory; freed at the end of its lifetime.
@safe package struct ReceivedMessage: ~Copyable, @unchecked Sendable {
    private let buffer: UnsafeMutablePointer<grpc_byte_buffer>

    /// Size in bytes.
    package let count: Int

    init(takingOwnership buffer: UnsafeMutablePointer<grpc_byte_buffer>) {
        unsafe self.buffer = buffer
        count = unsafe grpc_byte_buffer_length(buffer)
    }

    deinit { unsafe grpc_byte_buffer_destroy(buffer) }

    /// Calls `body` with each slice of bytes in order; a slice is valid only during its call. O(count).
    package func forEachSlice(_ body: (UnsafeRawBufferPointer) -> Void) {
        var reader = unsafe grpc_byte_buffer_reader()
        guard unsafe grpc_byte_buffer_reader_init(&reader, buffer) != 0 else { return }
        defer { unsafe grpc_byte_buffer_reader_destroy(&reader) }
        var slice: UnsafeMutablePointer<grpc_slice>?
        while unsafe grpc_byte_buffer_reader_peek(&reader, &slice) != 0, let slice = unsafe slice {
            unsafe body(
                UnsafeRawBufferPointer(
                    start: trace_grpc_slice_start(slice),
                    count: trace_grpc_slice_length(slice)
                )
            )
        }
    }

    /// Copies all `count` bytes to `target`, which must have room for them.
    package func copy(to target: UnsafeMutableRawPointer) {
        var offset = 0
        unsafe forEachSlice { slice in
            guard let start = slice.baseAddress else { return }
            unsafe (target + offset).copyMemory(from: start, byteCount: slice.count)
            offset += slice.count
        }
    }

    /// Returns a copy as an array; for small messages off the hot path.
    package func bytes() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            if let start = target.baseAddress { unsafe copy(to: UnsafeMutableRawPointer(start)) }
            initialized = count
        }
    }
}

/// The unary calls whose message has not arrived yet. Their number is not limited: a waiting call costs the core a few
/// kilobytes, and arriving bytes are counted by `SocketMeters`.
final class ReceivingCalls: Sendable {
    /// A call with the time limit for its message.
    private struct Entry {
        let call: GRPCUnaryCall
        var deadline: Int64
        let nanoseconds: Int64
        /// Every byte of the call's connection restarts the time limit.
        let isExtended: Bool
    }

    /// The calls, with the indices of free entries.
    private struct State {
        var entries: [Entry?] = []
        var free: [Int] = []
    }

    private let state = Mutex(State())

    /// Registers a call that starts to receive, with `nanoseconds` for its message, restarted by every byte of its
    /// connection if `isExtended`. Returns its index for `leave`.
    func enter(_ call: GRPCUnaryCall, now: Int64, nanoseconds: Int64, isExtended: Bool) -> Int {
        let entry = Entry(
            call: call,
            deadline: now + nanoseconds,
            nanoseconds: nanoseconds,
            isExtended: isExtended
        )
        return state.withLock { state in
            if let index = state.free.popLast() {
                state.entries[index] = entry
                return index
            }
            state.entries.append(entry)
            return state.entries.count - 1
        }
    }

    /// Removes a call whose receive is complete.
    func leave(_ index: Int) {
        state.withLock { state in
            state.entries[index] = nil
            state.free.append(index)
        }
    }

    /// Fails the calls whose time limit is over at `now` (monotonic ns). `lastData` returns the time of a connection's
    /// last byte. O(calls).
    func sweep(now: Int64, lastData: (Int32) -> Int64?) {
        let expired = state.withLock { state in
            var expired: [GRPCUnaryCall] = []
            for index in state.entries.indices {
                guard let entry = state.entries[index], entry.deadline <= now else { continue }
                var deadline = Int64.max
                if entry.isExtended, let last = lastData(entry.call.descriptor) {
                    deadline = last + entry.nanoseconds
                }
                if deadline > now, deadline != .max {
                    state.entries[index]?.deadline = deadline
                } else {
                    state.entries[index]?.deadline = .max
                    expired.append(entry.call)
                }
            }
            return expired
        }
        for call in expired { call.expire() }
    }

    /// Returns the receiving calls of one connection. O(calls).
    func calls(of descriptor: Int32) -> [GRPCUnaryCall] {
        state.withLock { state in
            state.entries.compactMap { entry in
                guard let entry, entry.call.descriptor == descriptor else { return nil }
                return entry.call
            }
        }
    }

    /// Removes all calls, once none can receive any more.
    func removeAll() { state.withLock { $0 = State() } }
}
