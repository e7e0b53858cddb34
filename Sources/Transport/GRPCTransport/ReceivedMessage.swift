internal import CGRPC

/// A message as it came from the network, in the C core's own memory; freed when it goes out of scope.
@safe
package struct ReceivedMessage: ~Copyable, @unchecked Sendable {
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
                UnsafeRawBufferPointer(
                    start: trace_grpc_slice_start(slice),
                    count: trace_grpc_slice_length(slice)
                )
            )
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
