package import TraceModel

/// Compresses one file piece by piece. Belongs to one thread at a time.
package enum CompressedWriter {
    case gzip(GzipWriter)
    case zstd(ZstdWriter)

    /// - Throws: `TraceError(.exhausted)` where there is no memory.
    package init(_ compression: FileCompression) throws(TraceError) {
        switch compression {
        case .gzip: self = .gzip(try GzipWriter())
        case .zstd: self = .zstd(try ZstdWriter())
        }
    }

    /// As `GzipWriter.compress`.
    package func compress<Failure: Error>(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        write: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        switch self {
        case .gzip(let writer): unsafe try writer.compress(input, isLast: isLast, write: write)
        case .zstd(let writer): unsafe try writer.compress(input, isLast: isLast, write: write)
        }
    }
}
