import CLinux
import Glibc

extension File {
    /// What any device takes of direct writes: offset, length and memory are multiples of it.
    package static var blockBytes: Int { 4_096 }

    /// Less is not worth waiting for the disk.
    package static var directBytesMin: Int { 64 << 10 }

    /// Enough at once that waiting for the disk costs little, and little enough that another process's sync gets in between.
    package static var directBytesUsual: Int { 512 << 10 }

    /// Writes all bytes at `offset`. Where there are `directBytesMin` or more, and offset and memory stand at a block's
    /// begin, whole blocks of them go to the disk past the page cache, as what is rarely read again is not worth a copy.
    /// Blocks.
    package borrowing func writeDirectly(
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
        let place = Int(bitPattern: bytes.baseAddress) | offset
        let isDirect = bytes.count >= Self.directBytesMin && place % Self.blockBytes == 0
        let whole = isDirect ? bytes.count / Self.blockBytes * Self.blockBytes : 0
        if whole > 0 {
            unsafe try writeBlocks(UnsafeRawBufferPointer(rebasing: bytes[..<whole]), at: offset)
        }
        guard whole < bytes.count else { return }
        unsafe try write(UnsafeRawBufferPointer(rebasing: bytes[whole...]), at: offset + whole)
    }

    /// Reads the whole file from its beginning, piece by piece, past the page cache where that can be: what is read once is
    /// not worth a copy. A piece is valid only during its call. Blocks.
    package borrowing func forEachPieceDirectly(
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(SystemError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.directBytesUsual,
            alignment: Self.blockBytes
        )
        defer { unsafe buffer.deallocate() }
        var isDirect = setDirect(true)
        defer { if isDirect { _ = setDirect(false) } }
        var offset = 0
        while true {
            let count: Int
            do throws(SystemError) {
                count = unsafe try readOnce(into: buffer, at: offset)
            } catch {
                guard error.errno == EINVAL, isDirect else { throw error }
                _ = setDirect(false)
                isDirect = false
                continue
            }
            guard count > 0 else { return }
            unsafe body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += count
            // A piece that ends within a block is the file's last.
            guard count % Self.blockBytes == 0 else { return }
        }
    }

    private borrowing func readOnce(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(SystemError) -> Int {
        #if DEBUG
        if let driver = Simulation.driver {
            return unsafe try driver.read(descriptor, into: buffer, at: offset)
        }
        #endif
        return try systemCall("pread", path) {
            unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
        }
    }

    private borrowing func writeBlocks(
        _ blocks: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
        guard setDirect(true) else { return unsafe try write(blocks, at: offset) }
        do throws(SystemError) {
            unsafe try write(blocks, at: offset)
            _ = setDirect(false)
        } catch {
            _ = setDirect(false)
            // A device that wants larger blocks, or a file system that says only now that it has no direct writes.
            guard error.errno == EINVAL else { throw error }
            unsafe try write(blocks, at: offset)
        }
    }

    /// Whether writes go past the page cache from here on.
    private borrowing func setDirect(_ isDirect: Bool) -> Bool {
        #if DEBUG
        if Simulation.driver != nil { return false }
        #endif
        // Not every file system has it.
        guard trace_set_direct(descriptor, isDirect ? 1 : 0) == 0 else { return false }
        return isDirect
    }
}
