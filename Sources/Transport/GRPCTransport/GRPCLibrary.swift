internal import CGRPC
internal import Glibc
internal import Synchronization

/// The C core's life: initialised once, before any other use, and kept until the process ends.
enum GRPCLibrary {
    private static let once: Void = {
        unsafe gpr_set_log_function { arguments in
            guard let message = unsafe arguments?.pointee.message else { return }
            GRPCLibrary.lastMessage.withLock { unsafe $0 = String(cString: message) }
        }
        grpc_init()
    }()

    /// What the core logged last. It logs a line for each bad call of a client, which must not fill
    /// our log; calls are counted by their refusals instead.
    static let lastMessage = Mutex<String>("")

    static func initialize() { _ = once }
}

/// Settings for a server or a channel of the C core, in the form it reads them.
struct ChannelArguments {
    private var integers: [(key: String, value: Int32)] = []

    mutating func set(_ key: String, _ value: Int) { integers.append((key, Int32(clamping: value))) }

    /// Calls `body` with the C form, which is valid only meanwhile; the core copies it.
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
