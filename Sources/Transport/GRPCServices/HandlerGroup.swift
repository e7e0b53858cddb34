package import GRPCTransport

/// Combines several services in one handler: each gets the calls of its own methods, numbered from 0.
package final class HandlerGroup: GRPCServerHandler {
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

    package func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        let entry = entries[method]
        entry.handler.unary(call, method: entry.method, message: message)
    }

    package func streamOpened(_ stream: GRPCStream, method: Int) {
        let entry = entries[method]
        entry.handler.streamOpened(stream, method: entry.method)
    }

    package func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {
        let entry = entries[method]
        entry.handler.streamMessage(stream, method: entry.method, message: message)
    }

    package func streamHalfClosed(_ stream: GRPCStream, method: Int) {
        let entry = entries[method]
        entry.handler.streamHalfClosed(stream, method: entry.method)
    }

    package func streamEnding(_ stream: GRPCStream, method: Int) {
        let entry = entries[method]
        entry.handler.streamEnding(stream, method: entry.method)
    }

    package func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {
        let entry = entries[method]
        entry.handler.streamEnded(stream, method: entry.method, cancelled: cancelled)
    }

    package func refused(method: Int, reason: GRPCRefusal) {
        let entry = entries[method]
        entry.handler.refused(method: entry.method, reason: reason)
    }

    package func closed(_ reason: GRPCClosing) {
        var notified: [any GRPCServerHandler] = []
        for entry in entries where !notified.contains(where: { $0 === entry.handler }) {
            notified.append(entry.handler)
            entry.handler.closed(reason)
        }
    }
}
