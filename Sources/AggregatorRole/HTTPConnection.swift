import FlyingSocks
import Foundation
import TraceModel

/// One client: its requests one after the other, until it goes, is too slow, or makes no sense.
struct HTTPConnection: Sendable {
    private let socket: AsyncSocket

    init(_ socket: AsyncSocket) { self.socket = socket }

    /// Closes the socket at the end.
    func serve(_ respond: HTTPListener.Respond) async {
        defer { try? socket.close() }
        var input = HTTPInput()
        var keepsAlive = true
        while keepsAlive, !Task.isCancelled {
            do {
                let begun = input
                let (head, rest) = try await Deadline.within(seconds: Limits.httpHeadSeconds) {
                    try await nextHead(begun)
                }
                input = rest
                let (reply, data) = await answer(head, respond)
                keepsAlive = reply
                try await Deadline.within(seconds: Limits.httpReplySeconds) {
                    try await socket.write(data)
                }
            } catch {
                // Gone, silent or too slow: there is nobody to tell.
                return
            }
        }
    }

    /// nil: a head that is longer than allowed.
    private func nextHead(_ begun: HTTPInput) async throws -> (head: String?, rest: HTTPInput) {
        var input = begun
        while true {
            if let head = input.takeHead() { return (head, input) }
            guard input.hasRoom else { return (nil, input) }
            input.append(try await socket.read(atMost: 4_096))
        }
    }

    private func answer(
        _ head: String?,
        _ respond: HTTPListener.Respond
    ) async -> (keepsAlive: Bool, data: Data) {
        guard let head else {
            return refuse(.text(.headTooLarge, "the request's head is too large"))
        }
        guard let request = HTTPRequest(head: head) else {
            return refuse(.text(.badRequest, "not an HTTP/1.1 request"))
        }
        guard !request.hasBody else {
            return refuse(.text(.contentTooLarge, "no page takes a body"))
        }
        let reply =
            request.method == .other
            ? .text(.methodNotAllowed, "only GET and HEAD") : await respond(request)
        let data = reply.encoded(
            keepsAlive: request.keepsAlive,
            hasBody: request.method != .head
        )
        return (request.keepsAlive, data)
    }

    /// What follows can't be told apart from the request refused, so the connection ends.
    private func refuse(_ reply: HTTPReply) -> (keepsAlive: Bool, data: Data) {
        (false, reply.encoded(keepsAlive: false, hasBody: true))
    }
}
