import Glibc

/// The one place that looks at a call's return value: retries EINTR, and stops the process where errno
/// can only mean a bug of ours (a closed or wild descriptor, a bad address).
@discardableResult
package func systemCall<Result: FixedWidthInteger & SignedInteger>(
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
