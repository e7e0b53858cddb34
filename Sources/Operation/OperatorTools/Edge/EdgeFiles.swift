import ClusterConfiguration
import Glibc
import SystemIO
import TraceModel

/// The operator's files that HAProxy works with: certificate and key, the clients' authorities, tokens. It gets copies in
/// the data directory, in the form that it wants.
package struct EdgeFiles: Equatable, Sendable {
    package var certificate: String?
    package var key: String?
    package var clientCA: String?
    package var tokens: String?

    /// The content of one copy.
    struct Copy {
        let path: String
        let text: String
    }

    package init(
        certificate: String? = nil,
        key: String? = nil,
        clientCA: String? = nil,
        tokens: String? = nil
    ) {
        self.certificate = certificate
        self.key = key
        self.clientCA = clientCA
        self.tokens = tokens
    }

    /// Reads the files, and checks what can be without HAProxy. The authorities come first (`EdgeControl.reload`). Blocks.
    /// - Throws: `TraceError` that names the file.
    func copies() throws -> [Copy] {
        var copies: [Copy] = []
        if let clientCA {
            let text = try Self.pem(clientCA, "CERTIFICATE")
            copies.append(Copy(path: ClusterPaths.edgeClientCA, text: text))
        }
        if let certificate, let key {
            let text = try Self.pem(certificate, "CERTIFICATE") + Self.pem(key, "PRIVATE KEY")
            copies.append(Copy(path: ClusterPaths.edgeCertificate, text: text))
        }
        if let tokens {
            let file = try TokenFile(try Self.read(tokens), file: tokens)
            copies.append(Copy(path: ClusterPaths.edgeTokens, text: file.map))
        }
        return copies
    }

    /// Returns a PEM file without blank lines, which would end it in a command to HAProxy.
    private static func pem(_ path: String, _ what: String) throws -> String {
        let text = try read(path)
        guard text.contains("-----BEGIN "), text.contains("\(what)-----") else {
            throw TraceError(.configuration, "\(path) holds no \(what.lowercased()) in PEM")
        }
        return text.split(whereSeparator: \.isNewline).filter { line in
            line.contains { !$0.isWhitespace }
        }.joined(separator: "\n") + "\n"
    }

    private static func read(_ path: String) throws -> String {
        do throws(SystemError) {
            return String(decoding: try FileSystem.contents(path), as: UTF8.self)
        } catch {
            throw TraceError(.configuration, "\(path) can't be read", cause: error)
        }
    }

    // MARK: run/edge.sources

    /// Lines of a name and a path, for the process that reloads.
    var text: String {
        [
            ("certificate", certificate), ("key", key), ("client_ca", clientCA), ("tokens", tokens),
        ].compactMap { name, path in path.map { "\(name) \($0)\n" } }.joined()
    }

    init(parsing text: String) {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let path = String(parts[1])
            switch parts[0] {
            case "certificate": certificate = path
            case "key": key = path
            case "client_ca": clientCA = path
            case "tokens": tokens = path
            default: break
            }
        }
    }
}

extension FileSystem {
    /// Replaces a file by this text. Blocks.
    static func publish(_ path: String, text: String) throws(SystemError) {
        let bytes = Array(text.utf8)
        let result = unsafe bytes.withUnsafeBytes { bytes -> SystemError? in
            do throws(SystemError) {
                try unsafe publish(path, bytes)
                return nil
            } catch { return error }
        }
        if let result { throw result }
    }
}
