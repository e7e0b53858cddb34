package import TraceModel

// The file of tokens
// ==================
//
// A line for each token: its scope, the SHA-256 of the token in hexadecimal, and anything as a remark; `#` before
// remarks alone.
//
//     ingest 5b11618c2e44027877d0cd0921ed166b9f176f50587fc91e7534dd2946db77d6  agents of the test machines

/// The tokens that HAProxy accepts, by their digests.
package struct TokenFile: Equatable, Sendable {
    /// What a token's holder may do.
    package enum Scope: String, CaseIterable, Sendable {
        case ingest
        case read
        /// Everything.
        case admin
    }

    /// One token.
    package struct Token: Equatable, Sendable {
        package let digest: String
        package let scope: Scope
    }

    package private(set) var tokens: [Token] = []

    /// Parses a file's content; `file` is its name in error messages.
    /// - Throws: `TraceError(.configuration)` that names the line, never its content.
    package init(_ text: String, file: String) throws(TraceError) {
        var known: Set<String> = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            func problem(_ text: String) -> TraceError {
                TraceError(.configuration, "\(file):\(index + 1): \(text)")
            }
            let scopes = Scope.allCases.map(\.rawValue).joined(separator: ", ")
            guard let scope = Scope(rawValue: String(first)) else {
                throw problem("a line begins with one of \(scopes)")
            }
            guard words.count > 1, let digest = Self.digest(words[1]) else {
                throw problem(
                    "behind the scope stands a token's SHA-256, 64 hexadecimal digits: printf %s TOKEN | sha256sum"
                )
            }
            guard known.insert(digest).inserted else {
                throw problem("the token stands there twice")
            }
            guard tokens.count < Limits.edgeTokensMax else {
                throw problem("more than \(Limits.edgeTokensMax) tokens")
            }
            tokens.append(Token(digest: digest, scope: scope))
        }
        guard !tokens.isEmpty else { throw TraceError(.configuration, "\(file) has no token") }
    }

    /// The tokens as a map of HAProxy.
    package var map: String { tokens.map { "\($0.digest) \($0.scope.rawValue)\n" }.joined() }

    private static func digest(_ word: Substring) -> String? {
        guard word.utf8.count == 64, word.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
            return nil
        }
        return word.lowercased()
    }
}
