internal import CGRPC

/// One call of the C core; gives its reference back at the end, which cancels a call still open.
@safe
struct CallHandle: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer

    init(takingOwnership pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit { unsafe grpc_call_unref(pointer) }

    /// The descriptor of its connection, where the server was handed that; else -1.
    var descriptor: Int32 {
        guard let text = unsafe grpc_call_get_peer(pointer) else { return -1 }
        defer { unsafe gpr_free(text) }
        return unsafe trace_grpc_peer_descriptor(text)
    }

    /// The other side: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`. `descriptor`: its own.
    func peer(_ descriptor: Int32, _ peers: PeerTable) -> String {
        if descriptor >= 0 { return peers.peer(of: descriptor) ?? "" }
        guard let text = unsafe grpc_call_get_peer(pointer) else { return "" }
        defer { unsafe gpr_free(text) }
        // The core writes addresses as URIs: the brackets of IPv6 come percent-encoded.
        return unsafe PeerAddress.decoded(String(cString: text))
    }

    /// From any thread, any number of times.
    func cancel() { unsafe grpc_call_cancel(pointer, nil) }

    /// True where a receive that brought no message means a broken call, not the end of a stream.
    var failedBeforeMessage: Bool {
        unsafe grpc_call_failed_before_recv_message(pointer) != 0
    }
}
