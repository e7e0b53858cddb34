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

    /// Whether `read` has thrown because the data ends early: all that could be expanded has been read then.
    package var isCutOff: Bool {
        switch self {
        case .gzip(let reader): reader.isCutOff
        case .zstd(let reader): reader.isCutOff
        }
    }

    /// Where `read` has thrown because bytes follow the data that are none of it: how many of them it has taken from its source.
    package var strayBytes: Int {
        switch self {
        case .gzip(let reader): reader.strayBytes
        case .zstd(let reader): reader.strayBytes
        }
    }
}
