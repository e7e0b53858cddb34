import CLinux
package import Glibc

/// Names and directories: what is done to a file without opening it. Everything blocks.
package enum FileSystem {
    package static func exists(_ path: String) -> Bool {
        #if DEBUG
        if let driver = Simulation.driver { return driver.exists(path) }
        #endif
        return unsafe access(path, F_OK) == 0
    }

    /// Creates the directory and its parents. A link to a directory is one; a link that leads nowhere is an error.
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
            // Somebody else may have made it meanwhile.
            guard error.errno == EEXIST, exists(path) else { throw error }
        }
    }

    /// The names in a directory, sorted, without `.` and `..`; empty where there is no directory.
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

    /// Atomic within one file system; durable only after `syncDirectory`.
    package static func rename(_ from: String, to: String) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.rename(from, to: to) }
        #endif
        try systemCall("rename", "\(from) to \(to)") { unsafe Glibc.rename(from, to) }
    }

    /// As `rename`, but never in the place of another file: throws an error that `isTaken` where there is one. What a crash
    /// leaves of it under both names is one file, and the next call ends it.
    package static func renameExclusively(_ from: String, to: String) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver {
            if driver.exists(to) { throw SystemError(errno: EEXIST, call: "rename", subject: to) }
            return try driver.rename(from, to: to)
        }
        #endif
        do throws(SystemError) {
            try systemCall("renameat2", "\(from) to \(to)") { unsafe trace_rename_exclusively(from, to) }
        } catch {
            // Some network file systems don't know the flag.
            guard error.errno == EINVAL || error.errno == ENOSYS else { throw error }
            try moveByLink(from, to: to)
        }
    }

    /// The same in two steps.
    static func moveByLink(_ from: String, to: String) throws(SystemError) {
        do throws(SystemError) { try systemCall("link", "\(from) to \(to)") { unsafe link(from, to) } } catch {
            guard error.isTaken, isSameFile(from, to) else { throw error }
        }
        try remove(from)
    }

    private static func isSameFile(_ left: String, _ right: String) -> Bool {
        var (first, second) = (stat(), stat())
        guard unsafe stat(left, &first) == 0, unsafe stat(right, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Copies a file's bytes, in pieces, to a new file or in the place of one, and syncs that. What a failure leaves under
    /// the new name is removed.
    package static func copy(_ from: String, to: String) throws(SystemError) {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: File.directBytesUsual, alignment: File.blockBytes)
        defer { unsafe piece.deallocate() }
        do throws(SystemError) {
            let source = try File(from, .read)
            let target = try File(to, .replace)
            var offset = 0
            while true {
                let count = unsafe try source.read(into: piece, at: offset)
                if count == 0 { break }
                unsafe try target.writeDirectly(UnsafeRawBufferPointer(rebasing: piece[..<count]), at: offset)
                offset += count
            }
            try target.syncData()
        } catch {
            try? remove(to)
            throw error
        }
    }

    /// Where a symbolic link points, nil where there is none or it may not be read.
    package static func linkTarget(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(path, &target, target.count)
        guard count > 0 else { return nil }
        return String(decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a file; a missing one is no error.
    package static func remove(_ path: String) throws(SystemError) {
        do throws(SystemError) {
            #if DEBUG
            if let driver = Simulation.driver { return try driver.remove(path) }
            #endif
            try systemCall("unlink", path) { unsafe unlink(path) }
        } catch { if error.errno != ENOENT { throw error } }
    }

    /// Removes an empty directory; a missing one is no error.
    package static func removeDirectory(_ path: String) throws(SystemError) {
        do throws(SystemError) { try systemCall("rmdir", path) { unsafe rmdir(path) } } catch {
            if error.errno != ENOENT { throw error }
        }
    }

    /// Makes created, renamed and removed names of a directory durable.
    package static func syncDirectory(_ path: String) throws(SystemError) {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.syncDirectory(path) }
        #endif
        let descriptor = try systemCall("open", path) { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { close(descriptor) }
        try systemCall("fsync", path) { fsync(descriptor) }
    }

    /// Size in bytes, nil where there is no such file.
    package static func size(_ path: String) -> Int? {
        #if DEBUG
        if let driver = Simulation.driver { return driver.size(of: path) }
        #endif
        var info = stat()
        return unsafe stat(path, &info) == 0 ? Int(info.st_size) : nil
    }

    /// Replaces a file's content in one step: temporary file, sync, rename, sync of the directory. Large content is written
    /// directly where it stands at a block's begin, and in pieces, as another process's sync waits for what is under way.
    package static func publish(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
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

    /// A whole small file.
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

    /// The absolute path without links in it, nil where nothing is there.
    package static func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Free bytes that this user may fill.
    package static func freeBytes(at path: String) throws(SystemError) -> Int {
        #if DEBUG
        if let driver = Simulation.driver { return try driver.freeBytes(at: path) }
        #endif
        var info = statvfs()
        try systemCall("statvfs", path) { unsafe statvfs(path, &info) }
        return Int(info.f_bavail) * Int(info.f_frsize)
    }

    /// Bytes of the whole file system.
    package static func totalBytes(at path: String) throws(SystemError) -> Int {
        var info = statvfs()
        try systemCall("statvfs", path) { unsafe statvfs(path, &info) }
        return Int(info.f_blocks) * Int(info.f_frsize)
    }

    /// Changes who may use a file or directory.
    package static func setMode(_ path: String, _ mode: mode_t) throws(SystemError) {
        #if DEBUG
        if Simulation.driver != nil { return }
        #endif
        try systemCall("chmod", path) { unsafe chmod(path, mode) }
    }

    package static func changeDirectory(to path: String) throws(SystemError) {
        try systemCall("chdir", path) { unsafe chdir(path) }
    }
}

/// Syncs many files together, open ones and closed ones: for some thousands of small ones that takes a tenth of the time. Made
/// before they are written, so that a failure to write any of them is reported.
package struct FileSystemSync: ~Copyable {
    /// One directory of each file system.
    private let directories: [(descriptor: Int32, path: String)]

    /// The file systems that the directories lie in. Nil in a simulation, whose disk has no such call.
    package init?(ofDirectories paths: [String]) throws(SystemError) {
        #if DEBUG
        if Simulation.driver != nil { return nil }
        #endif
        var devices: Set<UInt> = []
        var opened: [(descriptor: Int32, path: String)] = []
        for path in paths {
            do throws(SystemError) {
                let descriptor = try systemCall("open", path) { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
                var info = stat()
                if unsafe fstat(descriptor, &info) == 0, !devices.insert(UInt(info.st_dev)).inserted {
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

    /// What was written before is on the disk when this returns, the names of new files too. Blocks. A failure is final.
    package borrowing func sync() throws(SystemError) {
        for (descriptor, path) in directories { try systemCall("syncfs", path) { trace_sync_file_system(descriptor) } }
    }
}
