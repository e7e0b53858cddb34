internal import CZlib
package import TraceModel

/// Gzip of whole buffers (RFC 1952): one member, with the CRC-32 and length that tell damage.
package enum Gzip {
    /// zlib's levels that are worth having: the page of a scrape is needed now, a file lasts.
    package enum Level: Int32, Sendable {
        case fast = 1
        case balanced = 6
    }

    /// The compressed bytes. Takes some 10 ns a byte at `.fast`; needs about the input's size in memory.
    package static func compress(
        _ input: UnsafeRawBufferPointer,
        level: Level = .fast
    ) throws(TraceError) -> [UInt8] {
        guard input.count <= Int(UInt32.max) else {
            throw TraceError(.invalidArgument, "gzip of \(input.count) bytes in one piece")
        }
        var stream = unsafe z_stream()
        guard unsafe trace_deflate_init_gzip(&stream, level.rawValue) == Z_OK else {
            throw TraceError(.exhausted, "no memory to compress with")
        }
        defer { unsafe deflateEnd(&stream) }
        let bound = Int(unsafe deflateBound(&stream, uLong(input.count)))
        return unsafe [UInt8](unsafeUninitializedCapacity: bound) { output, count in
            // zlib.h: next_in is not written to, whatever its type says.
            let source = unsafe UnsafeMutableRawPointer(mutating: input.baseAddress)
            unsafe stream.next_in = source?.assumingMemoryBound(to: Bytef.self)
            unsafe stream.avail_in = uInt(input.count)
            unsafe stream.next_out = output.baseAddress
            unsafe stream.avail_out = uInt(bound)
            let code = unsafe deflate(&stream, Z_FINISH)
            // zlib.h: with the room that deflateBound asks for, one call does it all.
            precondition(code == Z_STREAM_END, "deflate: \(code)")
            count = bound - Int(unsafe stream.avail_out)
        }
    }

    /// What a gzip file's bytes expand to. Throws `.corrupt` where they are damaged or end early, and
    /// `.exhausted` beyond `limit` bytes, before taking memory for more.
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
