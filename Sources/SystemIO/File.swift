package import Glibc

/// One open file. Not shared between threads at once; closes when it goes out of scope.
package struct File: ~Copyable {
    package let path: String
    package let descriptor: Int32

    package enum Access: Sendable {
        case read
        /// Reads and writes; creates the file where it is missing.
        case readWrite
        /// Writes a new file; an existing one is emptied.
        case replace
        /// Writes a new file; an existing one is an error.
        case createNew

        var flags: Int32 {
            switch self {
            case .read: O_RDONLY
            case .readWrite: O_RDWR | O_CREAT
            case .replace: O_RDWR | O_CREAT | O_TRUNC
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            }
        }
    }

    package init(_ path: String, _ access: Access, mode: mode_t = 0o644) throws(SystemError) {
        self.path = path
        descriptor = try systemCall("open", path) {
            unsafe open(path, access.flags | O_CLOEXEC, mode)
        }
    }

    deinit { close(descriptor) }

    /// Size in bytes.
    package func size() throws(SystemError) -> Int {
        var info = stat()
        try systemCall("fstat", path) { unsafe fstat(descriptor, &info) }
        return Int(info.st_size)
    }

    /// Writes all bytes at `offset`. Blocks.
    package borrowing func write(
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError) {
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

    /// Blocks until the data is on the disk. A failure must not be retried (the kernel has dropped the
    /// dirty pages): the caller stops trusting the file.
    package borrowing func syncData() throws(SystemError) {
        try systemCall("fdatasync", path) { fdatasync(descriptor) }
    }

    package borrowing func truncate(to size: Int) throws(SystemError) {
        try systemCall("ftruncate", path) { ftruncate(descriptor, off_t(size)) }
    }

    /// Takes an exclusive lock for the life of the process; false where another process holds it.
    package borrowing func lock() throws(SystemError) -> Bool {
        do throws(SystemError) {
            try systemCall("flock", path) { flock(descriptor, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            if error.errno == EWOULDBLOCK { return false }
            throw error
        }
    }
}
