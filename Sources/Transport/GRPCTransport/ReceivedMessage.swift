internal import CGRPC
internal import Synchronization

/// A message as it came from the network, in the C core's own memory; freed when it goes out of scope.
@safe package struct ReceivedMessage: ~Copyable, @unchecked Sendable {
    private let buffer: UnsafeMutablePointer<grpc_byte_buffer>

    /// Size in bytes.
    package let count: Int

    init(takingOwnership buffer: UnsafeMutablePointer<grpc_byte_buffer>) {
        unsafe self.buffer = buffer
        count = unsafe grpc_byte_buffer_length(buffer)
    }

    deinit { unsafe grpc_byte_buffer_destroy(buffer) }

    /// Calls `body` with each run of bytes in order; a run is valid only during its call. O(count).
    package func forEachSlice(_ body: (UnsafeRawBufferPointer) -> Void) {
        var reader = unsafe grpc_byte_buffer_reader()
        guard unsafe grpc_byte_buffer_reader_init(&reader, buffer) != 0 else { return }
        defer { unsafe grpc_byte_buffer_reader_destroy(&reader) }
        var slice: UnsafeMutablePointer<grpc_slice>?
        while unsafe grpc_byte_buffer_reader_peek(&reader, &slice) != 0, let slice = unsafe slice {
            unsafe body(
                UnsafeRawBufferPointer(start: trace_grpc_slice_start(slice), count: trace_grpc_slice_length(slice)))
        }
    }

    /// Copies all `count` bytes to `target`, which has room for them.
    package func copy(to target: UnsafeMutableRawPointer) {
        var offset = 0
        unsafe forEachSlice { slice in
            guard let start = slice.baseAddress else { return }
            unsafe (target + offset).copyMemory(from: start, byteCount: slice.count)
            offset += slice.count
        }
    }

    /// A copy as an array; for small messages off the hot path.
    package func bytes() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            if let start = target.baseAddress { unsafe copy(to: UnsafeMutableRawPointer(start)) }
            initialized = count
        }
    }
}

/// The unary calls whose message has not come yet. Any number of them: a call that brings nothing costs the
/// core a few kilobytes, and what arrives is counted at the sockets (`SocketMeters`).
final class ReceivingCalls: Sendable {
    private struct Entry {
        let call: GRPCUnaryCall
        var deadline: Int64
        let nanoseconds: Int64
        /// Bytes of its connection make the deadline later.
        let isExtended: Bool
    }

    private struct State {
        var entries: [Entry?] = []
        var free: [Int] = []
    }

    private let state = Mutex(State())

    /// Notes a call that begins to receive; it has `nanoseconds`. `isExtended`: since its connection last
    /// brought something. Returns its place, for `leave`.
    func enter(_ call: GRPCUnaryCall, now: Int64, nanoseconds: Int64, isExtended: Bool) -> Int {
        let entry = Entry(call: call, deadline: now + nanoseconds, nanoseconds: nanoseconds, isExtended: isExtended)
        return state.withLock { state in
            if let place = state.free.popLast() {
                state.entries[place] = entry
                return place
            }
            state.entries.append(entry)
            return state.entries.count - 1
        }
    }

    /// Its receive is over.
    func leave(_ place: Int) {
        state.withLock { state in
            state.entries[place] = nil
            state.free.append(place)
        }
    }

    /// Ends the calls whose time is over at `now`, monotonic. `lastData`: when a byte last came on the
    /// connection. O(calls).
    func sweep(now: Int64, lastData: (Int32) -> Int64?) {
        let expired = state.withLock { state in
            var expired: [GRPCUnaryCall] = []
            for place in state.entries.indices {
                guard let entry = state.entries[place], entry.deadline <= now else { continue }
                var deadline = Int64.max
                if entry.isExtended, let last = lastData(entry.call.descriptor) { deadline = last + entry.nanoseconds }
                if deadline > now, deadline != .max {
                    state.entries[place]?.deadline = deadline
                } else {
                    state.entries[place]?.deadline = .max
                    expired.append(entry.call)
                }
            }
            return expired
        }
        for call in expired { call.expire() }
    }

    /// The calls of one connection. O(calls).
    func calls(of descriptor: Int32) -> [GRPCUnaryCall] {
        state.withLock { state in
            state.entries.compactMap { entry in
                guard let entry, entry.call.descriptor == descriptor else { return nil }
                return entry.call
            }
        }
    }

    /// Forgets all calls, once no one can be received any more.
    func removeAll() { state.withLock { $0 = State() } }
}
