package import SystemIO

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
