internal import CZstd
package import TraceModel

/// Expands zstd data piece by piece: memory stays at the data's window (refused beyond 8 MiB) and one piece. Several
/// frames behind one another read as one. Belongs to one thread at a time.
@safe
package final class ZstdReader {
    private static let inputBytes = 64 << 10
    private static let windowLogMax: Int32 = 23

    private let context: OpaquePointer
    private let input: UnsafeMutableRawBufferPointer
    private let source: GunzipReader.Source
    /// What of `input` is filled, and how far that is read.
    private var filled = 0
    private var position = 0
    /// At the end of a frame nothing has to follow; before the first one something has.
    private var isAtBoundary = false
    /// The last output was filled up, so zstd may have more of it without further input.
    private var holdsMore = false
    /// As `ExpandingReader.isCutOff`.
    private(set) var isCutOff = false
    /// As `ExpandingReader.strayBytes`.
    private(set) var strayBytes = 0

    /// `source` is called from `read` only.
    /// - Throws: `TraceError(.exhausted)` where there is no memory.
    package init(_ source: @escaping GunzipReader.Source) throws(TraceError) {
        guard let context = unsafe ZSTD_createDCtx() else {
            throw TraceError(.exhausted, "no memory to expand with")
        }
        unsafe self.context = context
        unsafe self.source = source
        unsafe input = .allocate(byteCount: Self.inputBytes, alignment: 16)
        let code = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowLogMax)
        precondition(ZSTD_isError(code) == 0, "zstd.h: within the bounds of the parameter")
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
        unsafe input.deallocate()
    }

    /// Writes up to `output.count` bytes from its front and returns how many; 0 at the end of the data.
    /// Throws `.corrupt` where the data is no zstd, damaged, or ends early.
    package func read(into output: inout [UInt8]) throws(TraceError) -> Int {
        precondition(!output.isEmpty)
        while true {
            if !holdsMore, position == filled {
                filled = unsafe try source(input)
                position = 0
                guard filled > 0 else {
                    guard isAtBoundary else {
                        isCutOff = true
                        throw TraceError(.corrupt, "the zstd data ends early")
                    }
                    return 0
                }
            }
            let count = try expand(into: &output)
            if count > 0 { return count }
        }
    }

    private func expand(into output: inout [UInt8]) throws(TraceError) -> Int {
        let size = output.count
        var from = unsafe ZSTD_inBuffer(src: input.baseAddress, size: filled, pos: position)
        var count = 0
        let left = unsafe output.withUnsafeMutableBytes { buffer in
            var to = unsafe ZSTD_outBuffer(dst: buffer.baseAddress, size: size, pos: 0)
            let left = unsafe ZSTD_decompressStream(context, &to, &from)
            count = unsafe to.pos
            return left
        }
        guard ZSTD_isError(left) == 0 else {
            if isAtBoundary { strayBytes = filled - position }
            let reason = unsafe String(cString: ZSTD_getErrorName(left))
            throw TraceError(.corrupt, "not zstd data, or damaged: \(reason)")
        }
        position = unsafe from.pos
        // zstd.h: 0 says that a frame is complete and fully flushed.
        isAtBoundary = left == 0
        holdsMore = !isAtBoundary && count == size
        return count
    }
}
