/// Bytes that come in order, a piece at a time.
package protocol ByteSource: AnyObject {
    /// Fills the front of `buffer`; returns how much, 0 only at the end. Blocks.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
    /// Bytes taken from the file so far and in all, for showing progress.
    var progress: (done: Int, total: Int) { get }
}
