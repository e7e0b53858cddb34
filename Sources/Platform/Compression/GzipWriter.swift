internal import CZlib
package import TraceModel

/// Compresses to one gzip member piece by piece: memory stays at zlib's window (256 KiB) and one piece, however
/// large the data. Belongs to one thread at a time.
@safe
package final class GzipWriter {
    private static let outputBytes = 64 << 10

    // Heap memory: zlib keeps a pointer back to the stream.
    private let stream: UnsafeMutablePointer<z_stream>
    private let output: UnsafeMutableRawBufferPointer

    package init(level: Gzip.Level = .fast) throws(TraceError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        unsafe output = .allocate(byteCount: Self.outputBytes, alignment: 16)
        guard unsafe trace_deflate_init_gzip(stream, level.rawValue) == Z_OK else {
            throw TraceError(.exhausted, "no memory to compress with")
        }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
        unsafe output.deallocate()
    }

    /// Compresses `input`, which zlib may hold back in part until `isLast`; nothing can follow that. `write`
    /// takes each finished piece, valid during the call; after it has thrown this can't be used any more.
    package func compress<Failure: Error>(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        write: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(input.count <= Int(Int32.max))
        // zlib.h: next_in is not written to, whatever its type says.
        let source = unsafe UnsafeMutableRawPointer(mutating: input.baseAddress)
        unsafe stream.pointee.next_in = source?.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_in = uInt(input.count)
        var code = Z_OK
        repeat {
            unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: Bytef.self)
            unsafe stream.pointee.avail_out = uInt(output.count)
            code = unsafe deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
            // zlib.h: Z_BUF_ERROR only says that there was nothing to do.
            precondition(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "\(code)")
            let count = unsafe output.count - Int(stream.pointee.avail_out)
            if count > 0 {
                unsafe try write(UnsafeRawBufferPointer(rebasing: output.prefix(count)))
            }
        } while unsafe stream.pointee.avail_out == 0 || (isLast && code != Z_STREAM_END)
    }
}
