import CLinux
import Glibc

/// A program started by this process. It inherits standard error, the environment and the mask of blocked signals, and no
/// other open file.
package struct ChildProcess: Sendable {
    /// How a process ended.
    package enum End: Equatable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case signalled(Int32)

        package var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .signalled(let signal): "signal \(signal)"
            }
        }
    }

    private let pid: pid_t

    /// Starts `program`, a path, with these arguments behind its name. Its standard output goes to standard error, or
    /// nowhere.
    /// - Throws: `SystemError` where there is no such program, or no process can be made.
    package init(
        _ program: String,
        _ arguments: [String],
        discardsOutput: Bool = false
    ) throws(SystemError) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        if discardsOutput {
            unsafe posix_spawn_file_actions_addopen(
                &actions,
                STDOUT_FILENO,
                "/dev/null",
                O_WRONLY,
                0
            )
        } else {
            unsafe posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
        }
        _ = unsafe trace_close_from(&actions, STDERR_FILENO + 1)
        let words = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe words.indices { unsafe free(words[index]) } }
        var child = pid_t()
        let code = unsafe posix_spawn(&child, program, &actions, nil, words, environ)
        guard code == 0 else {
            throw SystemError(errno: code, call: "posix_spawn", subject: program)
        }
        pid = child
    }

    /// How it has ended; nil while it runs. Does not block. To be asked until it says so: an end is kept only once.
    package func poll() -> End? {
        var status: Int32 = 0
        let found = unsafe waitpid(pid, &status, WNOHANG)
        if found == 0 || (found < 0 && errno == EINTR) { return nil }
        // Somebody else has taken its end.
        guard found == pid else { return .exited(-1) }
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .signalled(signal)
    }

    /// Sends it a signal. To be called only until `poll` has returned its end.
    package func send(_ signal: Int32) { _ = kill(pid, signal) }

    /// Has this process, which another one started, end with that one's thread.
    package static func endWithParent() { _ = trace_end_with_parent() }
}
