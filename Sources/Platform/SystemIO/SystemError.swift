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
