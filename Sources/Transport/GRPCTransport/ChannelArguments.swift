internal import CGRPC
internal import Glibc

/// Settings for a server or a channel of the C core, in the form it reads them.
struct ChannelArguments {
    private var integers: [(key: String, value: Int32)] = []

    mutating func set(_ key: String, _ value: Int) {
        integers.append((key, Int32(clamping: value)))
    }

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
