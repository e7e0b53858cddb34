internal import CGRPC
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
