internal import CZstd
package import TraceModel

/// Compresses to one zstd frame piece by piece, with the checksum that tells damage: memory stays at the window of
/// zstd's usual level (about 4 MiB) and one piece, however large the data. Belongs to one thread at a time.
@safe
package final class ZstdWriter {
    private static let outputBytes = 64 << 10

    private let context: OpaquePointer
    private let output: UnsafeMutableRawBufferPointer

    /// - Throws: `TraceError(.exhausted)` where there is no memory.
    package init() throws(TraceError) {
        guard let context = unsafe ZSTD_createCCtx() else {
            throw TraceError(.exhausted, "no memory to compress with")
        }
        unsafe self.context = context
        unsafe output = .allocate(byteCount: Self.outputBytes, alignment: 16)
        let code = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        precondition(ZSTD_isError(code) == 0, "zstd.h: every context takes the flag")
    }

    deinit {
        unsafe ZSTD_freeCCtx(context)
        unsafe output.deallocate()
    }

    /// Compresses `input`, which zstd may hold back in part until `isLast`; nothing can follow that. `write`
    /// takes each finished piece, valid during the call; after it has thrown this can't be used any more.
    package func compress<Failure: Error>(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        write: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var isDone = false
        while !isDone {
            var target = unsafe ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
            let left = unsafe ZSTD_compressStream2(
                context,
                &target,
                &source,
                isLast ? ZSTD_e_end : ZSTD_e_continue
            )
            // Memory apart, which `init` and the first call take, all failures are wrong use.
            precondition(ZSTD_isError(left) == 0, unsafe String(cString: ZSTD_getErrorName(left)))
            if unsafe target.pos > 0 {
                unsafe try write(UnsafeRawBufferPointer(rebasing: output.prefix(target.pos)))
            }
            // zstd.h: at the end 0 says that all is flushed; else all input has to be taken.
            isDone = unsafe isLast ? left == 0 : source.pos == source.size
        }
    }
}
