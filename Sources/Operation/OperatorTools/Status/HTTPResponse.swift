import TraceModel

/// Takes the body out of a response as far as it has arrived.
enum HTTPResponse {
    /// Nil while more has to come. Throws `TraceError` (unreachable) for a status other than 200 and for
    /// a body in chunks, which was not asked for.
    static func body(of response: [UInt8], isAtEnd: Bool) throws -> [UInt8]? {
        let blank = Array("\r\n\r\n".utf8)
        guard
            let end = response.indices.first(where: { response[$0...].starts(with: blank) })
        else { return nil }
        let head = String(decoding: response[..<end], as: UTF8.self)
        let lines = head.split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first
        guard status == "200" else {
            throw TraceError(.unreachable, "answered \(lines.first ?? "without a status")")
        }
        var length: Int?
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1].drop { $0 == " " }
            switch parts[0].lowercased() {
            case "content-length": length = Int(value)
            case "transfer-encoding":
                throw TraceError(.unreachable, "answered in transfer encoding \(value)")
            default: break
            }
        }
        let body = response[(end + blank.count)...]
        if let length { return body.count >= length ? Array(body.prefix(length)) : nil }
        return isAtEnd ? Array(body) : nil
    }
}
