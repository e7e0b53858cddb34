package import GRPCTransport

/// Combines several services in one handler: each gets the calls of its own methods, numbered from 0.
package final class HandlerGroup: GRPCServerHandler {
    /// A method of the group: its handler, and its index there.
    private struct Entry {
        let handler: any GRPCServerHandler
        let method: Int
    }

    private let entries: [Entry]

    /// All methods, in the order that the server has to be created with.
    package let methods: [GRPCMethod]

    package init(_ services: [(methods: [GRPCMethod], handler: any GRPCServerHandler)]) {
        methods = services.flatMap { $0.methods }
        entries = services.flatMap { service in
            service.methods.indices.map { Entry(handler: service.handler, method: $0) }
        }
    }

    /// Passes the call to the method's handler.
    package func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        entries[method].handler.unary(call, method: entries[method].method, message: message)
    }

    /// Passes the callback to the method's handler.
    package func streamOpened(_ stream: GRPCStream, method: Int) {
        entries[method].handler.streamOpened(stream, method: entries[method].method)
    }

    /// Passes the message to the method's handler.
    package func streamMessage(
        _ stream: GRPCStream,
        method: Int,
        message: consuming ReceivedMessage
    ) {
        entries[method].handler.streamMessage(
            stream,
            method: entries[method].method,
            message: message
        )
    }

    /// Passes the callback to the method's handler.
    package func streamHalfClosed(_ stream: GRPCStream, method: Int) {
        entries[method].handler.streamHalfClosed(stream, method: entries[method].method)
    }

    /// Passes the callback to the method's handler.
    package func streamEnding(_ stream: GRPCStream, method: Int) {
        entries[method].handler.streamEnding(stream, method: entries[method].method)
    }

    /// Passes the callback to the method's handler.
    package func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {
        entries[method].handler.streamEnded(
            stream,
            method: entries[method].method,
            cancelled: cancelled
        )
    }

    /// Passes the callback to the method's handler.
    package func refused(method: Int, reason: GRPCRefusal) {
        entries[method].handler.refused(method: entries[method].method, reason: reason)
    }

    /// Notifies each handler once, also one with several methods.
    package func closed(_ reason: GRPCClosing) {
        var notified: [any GRPCServerHandler] = []
        for entry in entries where !notified.contains(where: { $0 === entry.handler }) {
            notified.append(entry.handler)
            entry.handler.closed(reason)
        }
    }
}
