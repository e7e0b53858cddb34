internal import CZlib
internal import CZstd
package import TraceModel

/// Decompresses one file in pieces. One thread at a time.
package enum ExpandingReader {
    case gzip(GunzipReader)
    case zstd(ZstdReader)

    /// Creates a reader; only `read` calls `source`.
    /// - Throws: `TraceError(.exhausted)` if there is no memory.
    package init(
        _ compression: FileCompression,
        _ source: @escaping GunzipReader.Source
    ) throws(TraceError) {
        switch compression {
        case .gzip: self = .gzip(unsafe try GunzipReader(source))
        case .zstd: self = .zstd(unsafe try ZstdReader(source))
        }
    }

    /// Reads the next bytes, see `GunzipReader.read`.
    package func read(into output: inout [UInt8]) throws(TraceError) -> Int {
        switch self {
        case .gzip(let reader): try reader.read(into: &output)
        case .zstd(let reader): try reader.read(into: &output)
        }
    }

    /// Whether `read` has thrown because the data is truncated. Everything before that has been read then.
    package var isCutOff: Bool {
        switch self {
        case .gzip(let reader): reader.isCutOff
        case .zstd(let reader): reader.isCutOff
        }
    }

    /// Number of bytes taken from the source that follow the compressed data and do not belong to it, once `read` has
    /// thrown because of them.
    package var strayBytes: Int {
        switch self {
        case .gzip(let reader): reader.strayBytes
        case .zstd(let reader): reader.strayBytes
        }
    }
}

/// Decompresses gzip data in pieces: memory is one piece, whatever the size of the data. Concatenated members read as
/// one, as RFC 1952 requires. One thread at a time.
@safe package final class GunzipReader {
    /// Fills the buffer from its start and returns the count; 0 at the end.
    package typealias Source = (UnsafeMutableRawBufferPointer) throws(TraceError) -> Int

    /// The position in the compressed stream.
    private enum State {
        /// Between members; none has to follow.
        case atBoundary
        case insideMember
    }

    private static let inputBytes = 64 << 10

    // On the heap because zlib keeps a pointer back to the stream.
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableRawBufferPointer
    private let source: Source
    private var state = State.atBoundary
    private var hasRead = false
    /// The last output was filled, so zlib may have more without further input.
    private var holdsMore = false
    private var hasMember = false
    /// See `ExpandingReader.isCutOff`.
    private(set) var isCutOff = false
    /// See `ExpandingReader.strayBytes`.
    private(set) var strayBytes = 0

    /// Creates a reader; only `read` calls `source`.
    package init(_ source: @escaping Source) throws(TraceError) {
        unsafe self.source = source
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        unsafe input = .allocate(byteCount: Self.inputBytes, alignment: 16)
        guard unsafe trace_inflate_init_gzip(stream) == Z_OK else {
            throw TraceError(.exhausted, "no memory to expand with")
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
        unsafe input.deallocate()
    }

    /// Fills `output` from its start and returns the count; 0 at the end of the data.
    ///
    /// - Throws: `.corrupt` if the data is not gzip, damaged or truncated.
    package func read(into output: inout [UInt8]) throws(TraceError) -> Int {
        precondition(!output.isEmpty)
        var thrown: TraceError?
        let count = unsafe output.withUnsafeMutableBytes { buffer -> Int in
            do throws(TraceError) { return unsafe try read(into: buffer) } catch {
                thrown = error
                return 0
            }
        }
        if let thrown { throw thrown }
        return count
    }

    private func read(into output: UnsafeMutableRawBufferPointer) throws(TraceError) -> Int {
        let size = min(output.count, Int(Int32.max))
        unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_out = uInt(size)
        while unsafe stream.pointee.avail_out == uInt(size) {
            if !holdsMore {
                guard try hasInput() else {
                    guard state == .atBoundary, hasRead else {
                        isCutOff = true
                        throw TraceError(.corrupt, "the gzip data is truncated")
                    }
                    return 0
                }
            }
            try expandMore()
            holdsMore = unsafe state == .insideMember && stream.pointee.avail_out == 0
        }
        return size - Int(unsafe stream.pointee.avail_out)
    }

    /// Returns whether there are compressed bytes.
    private func hasInput() throws(TraceError) -> Bool {
        guard unsafe stream.pointee.avail_in == 0 else { return true }
        let count = unsafe try source(input)
        guard count > 0 else { return false }
        unsafe precondition(count <= input.count)
        hasRead = true
        unsafe stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_in = uInt(count)
        return true
    }

    private func expandMore() throws(TraceError) {
        if state == .atBoundary {
            unsafe inflateReset(stream)
            state = .insideMember
        }
        switch unsafe inflate(stream, Z_NO_FLUSH) {
        case Z_OK, Z_BUF_ERROR: return
        case Z_STREAM_END:
            state = .atBoundary
            hasMember = true
        case Z_MEM_ERROR: throw TraceError(.exhausted, "no memory to expand with")
        default:
            if hasMember, unsafe stream.pointee.total_out == 0 {
                strayBytes = unsafe Int(stream.pointee.total_in) + Int(stream.pointee.avail_in)
            }
            let reason = unsafe stream.pointee.msg.map { unsafe String(cString: $0) }
            throw TraceError(.corrupt, "not gzip data, or damaged: \(reason ?? "no reason given")")
        }
    }
}

/// Decompresses zstd data in pieces: memory is the data's window (at most 8 MiB, else refused) and one piece.
/// Concatenated frames read as one. One thread at a time.
@safe package final class ZstdReader {
    private static let inputBytes = 64 << 10
    private static let windowLogMax: Int32 = 23

    private let context: OpaquePointer
    private let input: UnsafeMutableRawBufferPointer
    private let source: GunzipReader.Source
    /// Number of valid bytes in `input`, and of those consumed.
    private var filled = 0
    private var position = 0
    /// At the end of a frame; false before the first one, which has to follow.
    private var isAtBoundary = false
    /// The last output was filled, so zstd may have more without further input.
    private var holdsMore = false
    /// See `ExpandingReader.isCutOff`.
    private(set) var isCutOff = false
    /// See `ExpandingReader.strayBytes`.
    private(set) var strayBytes = 0

    /// Creates a reader; only `read` calls `source`.
    /// - Throws: `TraceError(.exhausted)` if there is no memory.
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

    /// Fills `output` from its start and returns the count; 0 at the end of the data.
    ///
    /// - Throws: `.corrupt` if the data is not zstd, damaged or truncated.
    package func read(into output: inout [UInt8]) throws(TraceError) -> Int {
        precondition(!output.isEmpty)
        while true {
            if !holdsMore, position == filled {
                filled = unsafe try source(input)
                position = 0
                guard filled > 0 else {
                    guard isAtBoundary else {
                        isCutOff = true
                        throw TraceError(.corrupt, "the zstd data is truncated")
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
        // 0 means that a frame is complete and fully flushed (zstd.h).
        isAtBoundary = left == 0
        holdsMore = !isAtBoundary && count == size
        return count
    }
}
