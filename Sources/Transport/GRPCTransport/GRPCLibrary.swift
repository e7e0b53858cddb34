internal import CGRPC
internal import Glibc
internal import Synchronization

/// Initialises the C core once, before its first use. It stays initialised until the process ends.
enum GRPCLibrary {
    private static let once: Void = {
        unsafe gpr_set_log_function { arguments in
            guard let message = unsafe arguments?.pointee.message else { return }
            GRPCLibrary.lastMessage.withLock { unsafe $0 = String(cString: message) }
        }
        grpc_init()
    }()

    /// The message that the core logged last. The core logs a line for each invalid call of a client. Those lines are
    /// not written to the log, which a client could fill with them; the calls are counted by refusal reason instead.
    static let lastMessage = Mutex<String>("")

    /// Whether functions that no public header of the core declares may be used (core.h says which, and what is lost
    /// without them).
    static let knowsCore = trace_grpc_knows_core() != 0

    /// Initialises the core. Idempotent, any thread.
    static func initialize() { _ = once }
}

/// Integer settings (channel arguments) for a server or a channel of the C core.
struct ChannelArguments {
    private var integers: [(key: String, value: Int32)] = []

    mutating func set(_ key: String, _ value: Int) {
        integers.append((key, Int32(clamping: value)))
    }

    /// Calls `body` with the C form, which is valid only during the call; the core copies it.
    func withC<Result>(_ body: (UnsafePointer<grpc_channel_args>) -> Result) -> Result {
        var arguments = unsafe integers.map { entry in
            var argument = unsafe grpc_arg()
            unsafe argument.type = GRPC_ARG_INTEGER
            unsafe argument.key = strdup(entry.key)
            unsafe argument.value.integer = entry.value
            return unsafe argument
        }
        defer { for index in unsafe arguments.indices { unsafe free(arguments[index].key) } }
        return unsafe arguments.withUnsafeMutableBufferPointer { buffer in
            var list = unsafe grpc_channel_args(num_args: buffer.count, args: buffer.baseAddress)
            return unsafe body(&list)
        }
    }
}
