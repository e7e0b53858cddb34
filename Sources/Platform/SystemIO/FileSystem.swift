import CLinux
package import Glibc

/// Operations on names and directories. All of them block.
package enum FileSystem {
    /// Returns whether the path exists.
    package static func exists(_ path: String) -> Bool {
        #if DEBUG
        if let driver = Simulation.driver { return driver.exists(path) }
        #endif
        return unsafe access(path, F_OK) == 0
    }

    /// Creates the directory and its parents. A link to a directory counts as one; a dangling link is an error.
    package static func createDirectory(_ path: String, mode: mode_t = 0o750) throws(SystemError) {
        if path.isEmpty || exists(path) { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try createDirectory(String(path[..<slash]), mode: mode)
        }
        do throws(SystemError) {
            #if DEBUG
            if let driver = Simulation.driver { return try driver.makeDirectory(path) }
            #endif
            try systemCall("mkdir", path) { unsafe mkdir(path, mode) }
        } catch {
            // Another process may have created it meanwhile.
            guard error.errno == EEXIST, exists(path) else { throw error }
        }
    }

    /// Returns the sorted names in a directory without `.` and `..`; empty if there is no directory.
    package static func list(_ path: String) throws(SystemError) -> [String] {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.list(path) }
        #endif
        guard let directory = unsafe opendir(path) else {
            if errno == ENOENT { return [] }
            throw SystemError(errno: errno, call: "opendir", subject: path)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Renames a file: atomic within one file system, durable after `syncDirectory`.
    package static func rename(_ from: String, to: String) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.rename(from, to: to) }
        #endif
        try systemCall("rename", "\(from) to \(to)") { unsafe Glibc.rename(from, to) }
    }

    /// Renames a file without replacing another one. If a crash leaves the file under both names, the next call
    /// completes the move.
    ///
    /// - Throws: `SystemError` with `isTaken` if the new name exists.
    package static func renameExclusively(_ from: String, to: String) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver {
            if driver.exists(to) { throw SystemError(errno: EEXIST, call: "rename", subject: to) }
            return try driver.rename(from, to: to)
        }
        #endif
        do throws(SystemError) {
            try systemCall("renameat2", "\(from) to \(to)") {
                unsafe trace_rename_exclusively(from, to)
            }
        } catch {
            // Some network file systems do not support the flag.
            guard error.errno == EINVAL || error.errno == ENOSYS else { throw error }
            try moveByLink(from, to: to)
        }
    }

    /// Gives a file a second name on the same file system. Fails if the name is taken. Durable only after
    /// `syncDirectory`.
    package static func link(_ from: String, to: String) throws(SystemError) {
        #if DEBUG
        if Simulation.driver != nil {
            if exists(to) { throw SystemError(errno: EEXIST, call: "link", subject: to) }
            return try copy(from, to: to)
        }
        #endif
        try systemCall("link", "\(from) to \(to)") { unsafe Glibc.link(from, to) }
    }

    /// Renames without replacing in two steps, by link and unlink.
    static func moveByLink(_ from: String, to: String) throws(SystemError) {
        do throws(SystemError) {
            try systemCall("link", "\(from) to \(to)") { unsafe Glibc.link(from, to) }
        } catch {
            guard error.isTaken, isSameFile(from, to) else { throw error }
        }
        try remove(from)
    }

    private static func isSameFile(_ left: String, _ right: String) -> Bool {
        var (first, second) = (stat(), stat())
        guard unsafe stat(left, &first) == 0, unsafe stat(right, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Copies a file in pieces to a new or replaced file and syncs that. On failure the new file is removed.
    package static func copy(_ from: String, to: String) throws(SystemError) {
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: File.directBytesUsual,
            alignment: File.blockBytes
        )
        defer { unsafe piece.deallocate() }
        do throws(SystemError) {
            let source = try File(from, .read)
            let target = try File(to, .replace)
            var offset = 0
            while true {
                let count = unsafe try source.read(into: piece, at: offset)
                if count == 0 { break }
                unsafe try target.writeDirectly(
                    UnsafeRawBufferPointer(rebasing: piece[..<count]),
                    at: offset
                )
                offset += count
            }
            try target.syncData()
        } catch {
            try? remove(to)
            throw error
        }
    }

    /// Returns the target of a symbolic link; nil if there is none or it may not be read.
    package static func linkTarget(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &target, target.count)
        guard count > 0 else { return nil }
        return String(decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a file; a missing one is not an error.
    package static func remove(_ path: String) throws(SystemError) {
        do throws(SystemError) {
            #if DEBUG
            if let driver = Simulation.driver { return try driver.remove(path) }
            #endif
            try systemCall("unlink", path) { unsafe unlink(path) }
        } catch { if error.errno != ENOENT { throw error } }
    }

    /// Removes an empty directory; a missing one is not an error.
    package static func removeDirectory(_ path: String) throws(SystemError) {
        do throws(SystemError) { try systemCall("rmdir", path) { unsafe rmdir(path) } } catch {
            if error.errno != ENOENT { throw error }
        }
    }

    /// Removes a file, or a directory with its contents. A missing one is no error.
    package static func removeTree(_ path: String) throws(SystemError) {
        do throws(SystemError) { try remove(path) } catch {
            guard error.errno == EISDIR else { throw error }
            for name in try list(path) { try removeTree("\(path)/\(name)") }
            try removeDirectory(path)
        }
    }

    /// Makes creations, renames and removals in a directory durable.
    package static func syncDirectory(_ path: String) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.syncDirectory(path) }
        #endif
        let descriptor = try systemCall("open", path) {
            unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { close(descriptor) }
        try systemCall("fsync", path) { fsync(descriptor) }
    }

    /// Returns the size in bytes; nil if there is no such file.
    package static func size(_ path: String) -> Int? {
        #if DEBUG
        if let driver = Simulation.driver { return driver.size(of: path) }
        #endif
        var info = stat()
        return unsafe stat(path, &info) == 0 ? Int(info.st_size) : nil
    }

    /// Replaces a file's content atomically: temporary file, sync, rename, sync of the directory. Large aligned content
    /// is written directly and in pieces, because another process's sync waits for writes in progress.
    package static func publish(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(SystemError)
    {
        let temporary = path + ".tmp"
        let file = try File(temporary, .replace)
        for offset in stride(from: 0, to: bytes.count, by: File.directBytesUsual) {
            let end = min(offset + File.directBytesUsual, bytes.count)
            let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            unsafe try file.writeDirectly(piece, at: offset)
        }
        try file.syncData()
        try rename(temporary, to: path)
        try syncDirectory(parent(of: path))
    }

    /// Returns the content of a small file.
    package static func contents(_ path: String) throws(SystemError) -> [UInt8] {
        let file = try File(path, .read)
        let size = try file.size()
        var bytes = [UInt8](repeating: 0, count: size)
        var thrown: SystemError?
        let count = unsafe bytes.withUnsafeMutableBytes { buffer -> Int in
            do throws(SystemError) { return unsafe try file.read(into: buffer, at: 0) } catch {
                thrown = error
                return 0
            }
        }
        if let thrown { throw thrown }
        bytes.removeLast(size - count)
        return bytes
    }

    /// Returns the absolute path with links resolved; nil if it does not exist.
    package static func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// Returns the path of the containing directory.
    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Returns the free bytes that this user may fill.
    package static func freeBytes(at path: String) throws(SystemError) -> Int {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.freeBytes(at: path) }
        #endif
        var info = statvfs()
        try systemCall("statvfs", path) { unsafe statvfs(path, &info) }
        return Int(info.f_bavail) * Int(info.f_frsize)
    }

    /// Returns the size of the file system in bytes.
    package static func totalBytes(at path: String) throws(SystemError) -> Int {
        var info = statvfs()
        try systemCall("statvfs", path) { unsafe statvfs(path, &info) }
        return Int(info.f_blocks) * Int(info.f_frsize)
    }

    /// Changes the permissions of a file or directory.
    package static func setMode(_ path: String, _ mode: mode_t) throws(SystemError) {
        #if DEBUG
        if Simulation.driver != nil { return }
        #endif
        try systemCall("chmod", path) { unsafe chmod(path, mode) }
    }

    /// Changes the process's working directory.
    package static func changeDirectory(to path: String) throws(SystemError) {
        try systemCall("chdir", path) { unsafe chdir(path) }
    }
}

/// Syncs many files at once, open or closed: for thousands of small files in a tenth of the time. Must be created
/// before the files are written, so that any failed write is reported.
package struct FileSystemSync: ~Copyable {
    /// One open directory of each file system.
    private let directories: [(descriptor: Int32, path: String)]

    /// Covers the file systems of the directories. Nil in a simulation, whose disk has no such call.
    package init?(ofDirectories paths: [String]) throws(SystemError) {
        #if DEBUG
        if Simulation.driver != nil { return nil }
        #endif
        var devices: Set<UInt> = []
        var opened: [(descriptor: Int32, path: String)] = []
        for path in paths {
            do throws(SystemError) {
                let descriptor = try systemCall("open", path) {
                    unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                }
                var info = stat()
                if unsafe fstat(descriptor, &info) == 0, !devices.insert(UInt(info.st_dev)).inserted
                {
                    close(descriptor)
                } else {
                    opened.append((descriptor, path))
                }
            } catch {
                for directory in opened { close(directory.descriptor) }
                throw error
            }
        }
        directories = opened
    }

    deinit { for directory in directories { close(directory.descriptor) } }

    /// Blocks until everything written before is on the disk, including names of new files. A failure must not be
    /// retried.
    package borrowing func sync() throws(SystemError) {
        for (descriptor, path) in directories {
            try systemCall("syncfs", path) { trace_sync_file_system(descriptor) }
        }
    }
}
