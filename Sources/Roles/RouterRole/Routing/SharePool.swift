import Synchronization
package import SystemIO
import TraceModel

/// Reuses the memory of shares that have been sent. Shares are large, and memory that the kernel takes back has to be
/// zeroed when it is allocated again. Thread-safe.
package final class SharePool: Sendable {
    /// Memory for one share at a time.
    final class Block: @unchecked Sendable {
        @exclusivity(unchecked) var buffer: RawBuffer

        init(capacity: Int) { unsafe buffer = RawBuffer(capacity: capacity) }
    }

    /// The unused blocks; protected by a mutex.
    private struct State: Sendable {
        /// Unused blocks. The one that was returned last, and may still be in a CPU cache, is at the end.
        var idle: [Block] = []
        var bytes = 0
    }

    private let state = Mutex(State())

    /// Smaller blocks are left to the allocator.
    static let blockBytesMin = Limits.routerMappedBytesMin

    package init() {}

    /// Returns an empty block with room for `bytes`, but not for many times as much.
    func take(_ bytes: Int) -> Block {
        guard bytes >= Self.blockBytesMin else { return Block(capacity: max(1, bytes)) }
        let found = state.withLock { state -> Block? in
            let place = state.idle.lastIndex {
                unsafe $0.buffer.capacity >= bytes && $0.buffer.capacity / 4 <= bytes
            }
            guard let place else { return nil }
            let block = state.idle.remove(at: place)
            unsafe state.bytes -= block.buffer.capacity
            return block
        }
        let step = Self.blockBytesMin
        return found ?? Block(capacity: (bytes + step - 1) / step * step)
    }

    /// Returns a block to the pool, which must not be used afterwards. If the pool is too large, its oldest blocks are
    /// freed.
    func give(_ block: Block) {
        guard unsafe block.buffer.capacity >= Self.blockBytesMin else { return }
        unsafe block.buffer.removeAll()
        state.withLock { state in
            state.idle.append(block)
            unsafe state.bytes += block.buffer.capacity
            while state.bytes > Limits.sharePoolBytesMax {
                unsafe state.bytes -= state.idle.removeFirst().buffer.capacity
            }
        }
    }
}

/// The bytes of one share. Sent in place: they are not changed once they are handed over. The memory returns to its
/// pool with the last reference.
package final class SharePayload: @unchecked Sendable {
    private let block: SharePool.Block
    private let pool: SharePool

    /// Creates an empty payload with room for `capacity` bytes.
    init(capacity: Int, from pool: SharePool) {
        self.pool = pool
        block = pool.take(capacity)
    }

    deinit { pool.give(block) }

    package internal(set) var buffer: RawBuffer {
        _read { yield unsafe block.buffer }
        _modify { yield unsafe &block.buffer }
    }
}
