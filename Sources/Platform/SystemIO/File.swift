import CLinux
package import Glibc

/// An open file, closed at the end of its lifetime. One thread at a time.
package struct File: ~Copyable {
    package private(set) var path: String
    package let descriptor: Int32

    /// How a file is opened.
    package enum Access: Sendable {
        case read
        /// Reads and writes; creates the file if it is missing.
        case readWrite
        /// Writes a new file; truncates an existing one.
        case replace

        var flags: Int32 {
            switch self {
            case .read: O_RDONLY
            case .readWrite: O_RDWR | O_CREAT
            case .replace: O_RDWR | O_CREAT | O_TRUNC
            }
        }
    }

    package init(_ path: String, _ access: Access, mode: mode_t = 0o640) throws(SystemError) {
        self.path = path
        #if DEBUG
        if let driver = Simulation.driver {
            descriptor = try driver.open(path, access)
            return
        }
        #endif
        descriptor = try systemCall("open", path) {
            unsafe open(path, access.flags | O_CLOEXEC, mode)
        }
    }

    deinit {
        #if DEBUG
        if let driver = Simulation.driver { return driver.close(descriptor) }
        #endif
        close(descriptor)
    }

    /// Returns the size in bytes.
    package func size() throws(SystemError) -> Int {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.size(descriptor) }
        #endif
        var info = stat()
        try systemCall("fstat", path) { unsafe fstat(descriptor, &info) }
        return Int(info.st_size)
    }

    /// Renames the file, replacing any other of that name. Durable once the directory is synced. Blocks.
    package mutating func rename(to newPath: String) throws(SystemError) {
        try FileSystem.rename(path, to: newPath)
        path = newPath
    }

    /// Whether the path still refers to this file, which may have been removed or replaced.
    package var isAtItsPath: Bool {
        #if DEBUG
        if Simulation.driver != nil { return true }
        #endif
        var (own, named) = (stat(), stat())
        guard unsafe fstat(descriptor, &own) == 0, unsafe stat(path, &named) == 0 else {
            return false
        }
        return own.st_ino == named.st_ino && own.st_dev == named.st_dev
    }

    /// Writes all bytes at `offset`. Blocks.
    package borrowing func write(
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver {
            return unsafe try driver.write(descriptor, bytes, at: offset)
        }
        #endif
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            done += try systemCall("pwrite", path) {
                unsafe pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
            }
        }
    }

    /// Reads at `offset` until the buffer is full or the file ends; returns the count. Blocks.
    package borrowing func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(SystemError) -> Int {
        #if DEBUG
        if let driver = Simulation.driver {
            return unsafe try driver.read(descriptor, into: buffer, at: offset)
        }
        #endif
        guard let base = buffer.baseAddress else { return 0 }
        var done = 0
        while done < buffer.count {
            let count = try systemCall("pread", path) {
                unsafe pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Blocks until the data is on the disk. A failure must not be retried, because the kernel has dropped the dirty
    /// pages: the caller has to stop trusting the file.
    package borrowing func syncData() throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.syncData(descriptor) }
        #endif
        try systemCall("fdatasync", path) { fdatasync(descriptor) }
    }

    /// Allocates blocks for `size` bytes; unwritten ones read as zeros. Blocks.
    package borrowing func preallocate(_ size: Int) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.allocate(descriptor, size) }
        #endif
        let code = posix_fallocate(descriptor, 0, off_t(size))
        guard code == 0 else {
            throw SystemError(errno: code, call: "posix_fallocate", subject: path)
        }
    }

    /// Truncates or extends the file to `size` bytes.
    package borrowing func truncate(to size: Int) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.truncate(descriptor, to: size) }
        #endif
        try systemCall("ftruncate", path) { ftruncate(descriptor, off_t(size)) }
    }

    /// Takes an exclusive lock for the life of the process. Returns false if another process holds it.
    package borrowing func lock() throws(SystemError) -> Bool {
        #if DEBUG
        if Simulation.driver != nil { return true }
        #endif
        do throws(SystemError) {
            try systemCall("flock", path) { flock(descriptor, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            if error.errno == EWOULDBLOCK { return false }
            throw error
        }
    }
}

extension File {
    /// Alignment of offset, length and memory that direct writes need on any device.
    package static var blockBytes: Int { 4_096 }

    /// Minimum size of a direct write; less is not worth waiting for the disk.
    package static var directBytesMin: Int { 64 << 10 }

    /// Usual size of a direct write: large enough to amortise waiting for the disk, and small enough to let another
    /// process's sync in between.
    package static var directBytesUsual: Int { 512 << 10 }

    /// Writes all bytes at `offset`. Whole blocks bypass the page cache if there are `directBytesMin` or more and both
    /// offset and memory are aligned: data that is rarely read again is not worth a copy. Blocks.
    package borrowing func writeDirectly(
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
        let alignment = Int(bitPattern: bytes.baseAddress) | offset
        let isDirect = bytes.count >= Self.directBytesMin && alignment % Self.blockBytes == 0
        let whole = isDirect ? bytes.count / Self.blockBytes * Self.blockBytes : 0
        if whole > 0 {
            unsafe try writeBlocks(UnsafeRawBufferPointer(rebasing: bytes[..<whole]), at: offset)
        }
        guard whole < bytes.count else { return }
        unsafe try write(UnsafeRawBufferPointer(rebasing: bytes[whole...]), at: offset + whole)
    }

    /// Reads the whole file from its start in pieces, bypassing the page cache if possible: data that is read once is
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
            do throws(SystemError) { count = unsafe try readOnce(into: buffer, at: offset) } catch {
                guard error.errno == EINVAL, isDirect else { throw error }
                _ = setDirect(false)
                isDirect = false
                continue
            }
            guard count > 0 else { return }
            unsafe body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += count
            // Only the last piece ends within a block.
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
            // The device wants larger blocks, or the file system reports only now that it has no direct writes.
            guard error.errno == EINVAL else { throw error }
            unsafe try write(blocks, at: offset)
        }
    }

    /// Sets direct I/O for the descriptor. Returns whether it is on.
    private borrowing func setDirect(_ isDirect: Bool) -> Bool {
        #if DEBUG
        if Simulation.driver != nil { return false }
        #endif
        // Not every file system supports it.
        guard trace_set_direct(descriptor, isDirect ? 1 : 0) == 0 else { return false }
        return isDirect
    }
}
