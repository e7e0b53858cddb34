import Glibc

/// A system call that failed: the call, what it was about, and errno.
package struct SystemError: Error, CustomStringConvertible, Sendable {
    package let errno: Int32
    package let call: String
    package let subject: String

    package init(errno: Int32, call: String, subject: String) {
        self.errno = errno
        self.call = call
        self.subject = subject
    }

    /// True where freeing space lets the same call succeed.
    package var isOutOfSpace: Bool { errno == ENOSPC || errno == EDQUOT }

    package var isAddressTaken: Bool { errno == EADDRINUSE }

    /// True where there is something under the new name.
    package var isTaken: Bool { errno == EEXIST }

    /// True where a file can't be renamed as the new name is on another file system, or behind another mount.
    package var isAcrossFileSystems: Bool { errno == EXDEV }

    package var isNotFound: Bool { errno == ENOENT }

    /// True where the device could not read or write.
    package var isIOError: Bool { errno == EIO }

    package var description: String {
        let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "error \(errno)"
        return "\(call) \(subject): \(reason)"
    }
}

/// The one place that looks at a call's return value: retries EINTR, and stops the process where errno
/// can only mean a bug of ours (a closed or wild descriptor, a bad address).
@discardableResult package func systemCall<Result: FixedWidthInteger & SignedInteger>(
    _ call: StaticString, _ subject: @autoclosure () -> String, _ body: () -> Result
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
/// What takes the kernel's place under `File`, `FileSystem` and `WallClock` in a simulation. Each function
/// does what the system call of its name does and throws what that would fail with; where a write fails, a
/// part of it may have been done. Debug builds only: a release build always asks the kernel.
package protocol SystemDriver: AnyObject, Sendable {
    func open(_ path: String, _ access: File.Access) throws(SystemError) -> Int32
    func close(_ descriptor: Int32)
    func size(_ descriptor: Int32) throws(SystemError) -> Int
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SystemError)
    func read(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(SystemError) -> Int
    func syncData(_ descriptor: Int32) throws(SystemError)
    func truncate(_ descriptor: Int32, to size: Int) throws(SystemError)

    func exists(_ path: String) -> Bool
    func size(of path: String) -> Int?
    func makeDirectory(_ path: String) throws(SystemError)
    func list(_ path: String) throws(SystemError) -> [String]
    func rename(_ from: String, to: String) throws(SystemError)
    func remove(_ path: String) throws(SystemError)
    func syncDirectory(_ path: String) throws(SystemError)
    func freeBytes(at path: String) throws(SystemError) -> Int

    /// Nanoseconds, for both clocks.
    func clock() -> Int64
}

/// The driver in force for the current task, and for the code it calls on its own thread.
package enum Simulation { @TaskLocal package static var driver: (any SystemDriver)? }
#endif
