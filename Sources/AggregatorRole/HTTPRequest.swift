import Foundation

/// The head of a request: what the pages need of it.
struct HTTPRequest: Equatable, Sendable {
    enum Method: Equatable, Sendable {
        case get
        case head
        case other
    }

    let method: Method
    /// Without the query.
    let path: String
    /// What follows the first `?`, as it came; empty where there is none.
    let query: String
    let accept: String
    let acceptEncoding: String
    /// Whether the connection stays open behind the answer.
    let keepsAlive: Bool
    /// A body follows, which no page wants.
    let hasBody: Bool

    /// Reads a head, up to and without its empty line; nil where it is none (RFC 9112).
    init?(head: String) {
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        guard let first = lines.popFirst() else { return nil }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, let minor = Self.minorVersion(words[2]), words[1].first == "/"
        else { return nil }
        switch words[0] {
        case "GET": method = .get
        case "HEAD": method = .head
        default: method = .other
        }
        path = String(words[1].prefix { $0 != "?" })
        query = String(words[1].dropFirst(path.count + 1))
        var fields: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex,
                !line[..<colon].contains(where: \.isWhitespace)
            else { return nil }
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].trimmed
            // Repeated fields are one list (RFC 9110, 5.3).
            fields[name] = fields[name].map { "\($0), \(value)" } ?? String(value)
        }
        accept = fields["accept"] ?? ""
        acceptEncoding = fields["accept-encoding"] ?? ""
        let connection = (fields["connection"] ?? "").lowercased()
        keepsAlive =
            minor == 0 ? connection.contains("keep-alive") : !connection.contains("close")
        hasBody =
            fields["transfer-encoding"] != nil || (fields["content-length"] ?? "0") != "0"
    }

    /// Returns all values of a parameter of the query, in their order, as forms encode them.
    func values(of parameter: String) -> [String] {
        query.split(separator: "&").compactMap { pair in
            let parts = pair.split(
                separator: "=",
                maxSplits: 1,
                omittingEmptySubsequences: false
            ).map(Self.decoded)
            guard parts[0] == parameter else { return nil }
            return parts.count > 1 ? parts[1] : ""
        }
    }

    /// Without its percent encoding; as it came where that is broken.
    private static func decoded(_ text: Substring) -> String {
        let spaced = text.replacing("+", with: " ")
        return spaced.removingPercentEncoding ?? String(spaced)
    }

    private static func minorVersion(_ word: Substring) -> Int? {
        switch word {
        case "HTTP/1.1": 1
        case "HTTP/1.0": 0
        default: nil
        }
    }
}

extension StringProtocol {
    /// Without blanks at either end.
    fileprivate var trimmed: SubSequence {
        guard let first = firstIndex(where: { $0 != " " && $0 != "\t" }),
            let last = lastIndex(where: { $0 != " " && $0 != "\t" })
        else { return self[endIndex...] }
        return self[first...last]
    }
}
