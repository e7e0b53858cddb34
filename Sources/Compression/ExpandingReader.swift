package import TraceModel

/// Expands one file piece by piece. Belongs to one thread at a time.
package enum ExpandingReader {
    case gzip(GunzipReader)
    case zstd(ZstdReader)

    /// `source` is called from `read` only.
    /// - Throws: `TraceError(.exhausted)` where there is no memory.
    package init(
        _ compression: FileCompression,
        _ source: @escaping GunzipReader.Source
    ) throws(TraceError) {
        switch compression {
        case .gzip: self = .gzip(unsafe try GunzipReader(source))
        case .zstd: self = .zstd(unsafe try ZstdReader(source))
        }
    }

    /// As `GunzipReader.read`.
    package func read(into output: inout [UInt8]) throws(TraceError) -> Int {
        switch self {
        case .gzip(let reader): try reader.read(into: &output)
        case .zstd(let reader): try reader.read(into: &output)
        }
    }
}
