package import Glibc

/// Who holds the lock of a file, as far as /proc says.
package enum LockHolder {
    /// The process that holds an exclusive lock (flock(2)) of the open file; nil where none does, or none that this process
    /// may see. Blocks.
    package static func find(of file: borrowing File) -> pid_t? {
        var info = stat()
        guard unsafe fstat(file.descriptor, &info) == 0,
            let table = try? File.text("/proc/locks")
        else { return nil }
        return holder(in: table, inode: UInt(info.st_ino))
    }

    /// Of the table's text (proc(5)): `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`. Device numbers are left alone, as
    /// some file systems say another one to processes.
    static func holder(in table: String, inode: UInt) -> pid_t? {
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[1] == "FLOCK", fields[3] == "WRITE",
                fields[5].hasSuffix(":\(inode)"), let pid = pid_t(fields[4]), pid > 0
            else { continue }
            return pid
        }
        return nil
    }
}

extension File {
    /// All of a file in /proc, whose size the kernel does not say: of a mebibyte at most.
    static func text(_ path: String) throws(SystemError) -> String {
        let file = try File(path, .read)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
        defer { unsafe buffer.deallocate() }
        let count = unsafe try file.read(into: buffer, at: 0)
        return unsafe String(decoding: buffer[..<count], as: UTF8.self)
    }
}
