import Synchronization
package import SystemIO
import TraceModel

/// Memory of shares that have been sent, for those to come: they are large, and what goes back to the system with each has
/// to be zeroed for the next one. For any thread.
package final class SharePool: Sendable {
    /// Memory for one share at a time.
    final class Block: @unchecked Sendable {
        @exclusivity(unchecked) var buffer: RawBuffer

        init(capacity: Int) { buffer = RawBuffer(capacity: capacity) }
    }

    private struct State: Sendable {
        /// The one that came last, and may still be in a cache, at the end.
        var idle: [Block] = []
        var bytes = 0
    }

    private let state = Mutex(State())

    /// Smaller ones are the allocator's.
    static let blockBytesMin = Limits.routerMappedBytesMin

    package init() {}

    /// An empty block with room for `bytes`, and not many times as much.
    func take(_ bytes: Int) -> Block {
        guard bytes >= Self.blockBytesMin else { return Block(capacity: max(1, bytes)) }
        let found = state.withLock { state -> Block? in
            let place = state.idle.lastIndex {
                $0.buffer.capacity >= bytes && $0.buffer.capacity / 4 <= bytes
            }
            guard let place else { return nil }
            let block = state.idle.remove(at: place)
            state.bytes -= block.buffer.capacity
            return block
        }
        let step = Self.blockBytesMin
        return found ?? Block(capacity: (bytes + step - 1) / step * step)
    }

    /// The block is nobody's from here on. What has been here for longest goes where there is too much.
    func give(_ block: Block) {
        guard block.buffer.capacity >= Self.blockBytesMin else { return }
        block.buffer.removeAll()
        state.withLock { state in
            state.idle.append(block)
            state.bytes += block.buffer.capacity
            while state.bytes > Limits.sharePoolBytesMax {
                state.bytes -= state.idle.removeFirst().buffer.capacity
            }
        }
    }
}

/// The bytes of one share. Sent from where they lie: nobody changes them once they are handed over. Their memory goes back
/// to its pool with the last reference.
package final class SharePayload: @unchecked Sendable {
    private let block: SharePool.Block
    private let pool: SharePool

    /// Empty, with room for `capacity` bytes.
    init(capacity: Int, from pool: SharePool) {
        self.pool = pool
        block = pool.take(capacity)
    }

    deinit { pool.give(block) }

    package internal(set) var buffer: RawBuffer {
        _read { yield block.buffer }
        _modify { yield &block.buffer }
    }
}
