internal import CGRPC

/// The C core's life: initialised once, before any other use, and kept until the process ends.
enum GRPCLibrary {
    private static let once: Void = grpc_init()

    static func initialize() { _ = once }
}
