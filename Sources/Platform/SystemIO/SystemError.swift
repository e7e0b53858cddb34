import Glibc

/// A failed system call: its name, its subject, and errno.
package struct SystemError: Error, CustomStringConvertible, Sendable {
    package let errno: Int32
    package let call: String
    package let subject: String

    package init(errno: Int32, call: String, subject: String) {
        self.errno = errno
        self.call = call
        self.subject = subject
    }

    /// Whether the same call can succeed once space is freed.
    package var isOutOfSpace: Bool { errno == ENOSPC || errno == EDQUOT }

    package var isAddressTaken: Bool { errno == EADDRINUSE }

    /// Whether the new name is in use.
    package var isTaken: Bool { errno == EEXIST }

    /// Whether a rename failed because the new name is on another file system or mount.
    package var isAcrossFileSystems: Bool { errno == EXDEV }

    package var isNotFound: Bool { errno == ENOENT }

    /// Whether the device failed to read or write.
    package var isIOError: Bool { errno == EIO }

    package var description: String {
        let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "error \(errno)"
        return "\(call) \(subject): \(reason)"
    }
}

/// Performs a system call: retries EINTR, throws other errors, and traps where errno can only mean a bug of this
/// program (an invalid descriptor or address).
@discardableResult package func systemCall<Result: FixedWidthInteger & SignedInteger>(
    _ call: StaticString,
    _ subject: @autoclosure () -> String,
    _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        let code = errno
        if code == EINTR { continue }
        precondition(code != EBADF && code != EFAULT, "\(call) \(subject()): errno \(code)")
        throw SystemError(errno: code, call: "\(call)", subject: subject())
    }
}

#if DEBUG
/// Replaces the kernel below `File`, `FileSystem` and `WallClock` in a simulation. Each function behaves like the
/// system call of its name and throws the errors of that; a failed write may have been done in part. Debug builds only:
/// a release build always calls the kernel.
package protocol SystemDriver: AnyObject, Sendable {
    func open(_ path: String, _ access: File.Access) throws(SystemError) -> Int32
    func close(_ descriptor: Int32)
    func size(_ descriptor: Int32) throws(SystemError) -> Int
    func write(
        _ descriptor: Int32,
        _ bytes: UnsafeRawBufferPointer,
        at offset: Int
    ) throws(SystemError)
    func read(
        _ descriptor: Int32,
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) throws(SystemError) -> Int
    func syncData(_ descriptor: Int32) throws(SystemError)
    func truncate(_ descriptor: Int32, to size: Int) throws(SystemError)
    func allocate(_ descriptor: Int32, _ size: Int) throws(SystemError)

    func exists(_ path: String) -> Bool
    func size(of path: String) -> Int?
    func makeDirectory(_ path: String) throws(SystemError)
    func list(_ path: String) throws(SystemError) -> [String]
    func rename(_ from: String, to: String) throws(SystemError)
    func remove(_ path: String) throws(SystemError)
    func syncDirectory(_ path: String) throws(SystemError)
    func freeBytes(at path: String) throws(SystemError) -> Int

    /// Returns nanoseconds, for both clocks.
    func clock() -> Int64
}

/// The driver for the current task and the code that it calls on its own thread.
package enum Simulation { @TaskLocal package static var driver: (any SystemDriver)? }
#endif
