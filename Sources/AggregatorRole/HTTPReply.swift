import Foundation

/// An answer, whole in memory.
struct HTTPReply: Sendable {
    enum Status: String, Sendable {
        case ok = "200 OK"
        case badRequest = "400 Bad Request"
        case notFound = "404 Not Found"
        case methodNotAllowed = "405 Method Not Allowed"
        case contentTooLarge = "413 Content Too Large"
        case headTooLarge = "431 Request Header Fields Too Large"
        case failed = "500 Internal Server Error"
        case unavailable = "503 Service Unavailable"
    }

    let status: Status
    let contentType: String
    let body: Data
    var isCompressed = false

    static func text(_ status: Status, _ text: String) -> HTTPReply {
        HTTPReply(
            status: status,
            contentType: "text/plain; charset=utf-8",
            body: Data((text + "\n").utf8)
        )
    }

    /// As it goes over the wire. `hasBody` false answers a HEAD.
    func encoded(keepsAlive: Bool, hasBody: Bool) -> Data {
        var head = "HTTP/1.1 \(status.rawValue)\r\n"
        head += "Content-Type: \(contentType)\r\n"
        head += "Content-Length: \(body.count)\r\n"
        if isCompressed { head += "Content-Encoding: gzip\r\n" }
        head += "Vary: Accept, Accept-Encoding\r\n"
        head += "Cache-Control: no-store\r\n"
        head += "X-Content-Type-Options: nosniff\r\n"
        if status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
        head += "Connection: \(keepsAlive ? "keep-alive" : "close")\r\n\r\n"
        var data = Data(head.utf8)
        if hasBody { data.append(body) }
        return data
    }
}
