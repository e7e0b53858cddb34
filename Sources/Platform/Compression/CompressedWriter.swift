internal import CZlib
internal import CZstd
package import TraceModel

/// The compression of a file.
package enum FileCompression: String, CaseIterable, Sendable {
    case gzip
    case zstd

    /// File name suffix.
    package var suffix: String {
        switch self {
        case .gzip: ".gz"
        case .zstd: ".zst"
        }
    }

    /// Number of leading bytes that identify the compression.
    package static let magicBytes = 4

    /// Determines the compression from a path's suffix; nil if it has none.
    package init?(ofPath path: String) {
        guard let found = Self.allCases.first(where: { path.hasSuffix($0.suffix) }) else {
            return nil
        }
        self = found
    }

    /// Determines the compression from a file's first bytes; nil if there is none.
    package init?(magic: some Collection<UInt8>) {
        if magic.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if magic.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
            self = .zstd
        } else {
            return nil
        }
    }
}

/// Compresses one file in pieces. One thread at a time.
package enum CompressedWriter {
    case gzip(GzipWriter)
    case zstd(ZstdWriter)

    /// - Throws: `TraceError(.exhausted)` if there is no memory.
    package init(_ compression: FileCompression) throws(TraceError) {
        switch compression {
        case .gzip: self = .gzip(try GzipWriter())
        case .zstd: self = .zstd(try ZstdWriter())
        }
    }

    /// Compresses `input`, see `GzipWriter.compress`.
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

/// Gzip of whole buffers (RFC 1952): one member with CRC-32 and length.
package enum Gzip {
    /// Returns the compressed bytes. Takes about 10 ns a byte, and memory of the output's size.
    package static func compress(_ input: UnsafeRawBufferPointer) throws(TraceError) -> [UInt8] {
        guard input.count <= Int(Int32.max) else {
            throw TraceError(.invalidArgument, "gzip of \(input.count) bytes at once")
        }
        var output: [UInt8] = []
        unsafe try GzipWriter().compress(input, isLast: true) {
            unsafe output.append(contentsOf: $0)
        }
        return output
    }

    /// Returns the decompressed bytes of a gzip file.
    ///
    /// - Throws: `.corrupt` if they are damaged or truncated; `.exhausted` above `limit` bytes, before allocating more.
    package static func expand(
        _ input: UnsafeRawBufferPointer,
        limit: Int
    ) throws(TraceError) -> [UInt8] {
        var rest = unsafe input
        let reader = unsafe try GunzipReader { chunk in
            let count = min(chunk.count, rest.count)
            unsafe chunk.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            return count
        }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = try reader.read(into: &chunk)
            if count == 0 { return output }
            guard output.count + count <= limit else {
                throw TraceError(.exhausted, "the expanded data is larger than \(limit) bytes")
            }
            output.append(contentsOf: chunk[..<count])
        }
    }
}

/// Compresses to one gzip member in pieces: memory is zlib's window (256 KiB) and one piece, whatever the size of the
/// data. One thread at a time.
@safe package final class GzipWriter {
    private static let outputBytes = 64 << 10

    // On the heap because zlib keeps a pointer back to the stream.
    private let stream: UnsafeMutablePointer<z_stream>
    private let output: UnsafeMutableRawBufferPointer

    package init() throws(TraceError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        unsafe output = .allocate(byteCount: Self.outputBytes, alignment: 16)
        guard unsafe trace_deflate_init_gzip(stream, Z_BEST_SPEED) == Z_OK else {
            throw TraceError(.exhausted, "no memory to compress with")
        }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
        unsafe output.deallocate()
    }

    /// Compresses `input`, part of which zlib may hold back until `isLast`, the final call. `write` gets each finished
    /// piece, valid during the call. If it throws, the writer cannot be used any more.
    package func compress<Failure: Error>(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        write: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(input.count <= Int(Int32.max))
        // zlib does not write through next_in, whatever its type (zlib.h).
        let source = unsafe UnsafeMutableRawPointer(mutating: input.baseAddress)
        unsafe stream.pointee.next_in = source?.assumingMemoryBound(to: Bytef.self)
        unsafe stream.pointee.avail_in = uInt(input.count)
        var code = Z_OK
        repeat {
            unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: Bytef.self)
            unsafe stream.pointee.avail_out = uInt(output.count)
            code = unsafe deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
            // Z_BUF_ERROR only means that there was nothing to do (zlib.h).
            precondition(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "\(code)")
            let count = unsafe output.count - Int(stream.pointee.avail_out)
            if count > 0 {
                unsafe try write(UnsafeRawBufferPointer(rebasing: output.prefix(count)))
            }
        } while unsafe stream.pointee.avail_out == 0 || (isLast && code != Z_STREAM_END)
    }
}

/// Compresses to one zstd frame with a checksum in pieces: memory is the window of zstd's default level (about 4 MiB)
/// and one piece, whatever the size of the data. One thread at a time.
@safe package final class ZstdWriter {
    private static let outputBytes = 64 << 10

    private let context: OpaquePointer
    private let output: UnsafeMutableRawBufferPointer

    /// - Throws: `TraceError(.exhausted)` if there is no memory.
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

    /// Compresses `input`, part of which zstd may hold back until `isLast`, the final call. `write` gets each finished
    /// piece, valid during the call. If it throws, the writer cannot be used any more.
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
            // All failures except lack of memory, which `init` and the first call detect, are wrong use.
            precondition(ZSTD_isError(left) == 0, unsafe String(cString: ZSTD_getErrorName(left)))
            if unsafe target.pos > 0 {
                unsafe try write(UnsafeRawBufferPointer(rebasing: output.prefix(target.pos)))
            }
            // At the end, 0 means that everything is flushed; before, all input has to be consumed (zstd.h).
            isDone = unsafe isLast ? left == 0 : source.pos == source.size
        }
    }
}
