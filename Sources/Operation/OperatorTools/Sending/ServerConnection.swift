package import GRPCTransport
import SystemIO
package import TraceModel

/// A server to send to, and how it is reached: by TLS or not, with which certificate and token.
package struct ServerConnection: Sendable {
    /// Paths of the files that a secure connection needs, as on the command line.
    package struct Files: Sendable {
        /// Authorities of servers; nil for a connection without TLS.
        package var authorities: String?
        package var certificate: String?
        package var key: String?
        /// The file holds nothing but the token.
        package var token: String?

        package init(
            authorities: String? = nil,
            certificate: String? = nil,
            key: String? = nil,
            token: String? = nil
        ) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
            self.token = token
        }

        /// What is wrong with the choice of files; nil if nothing is.
        package var problem: String? {
            if (certificate == nil) != (key == nil) {
                return "--tls-cert and --tls-key go together"
            }
            if certificate != nil, authorities == nil { return "--tls-cert needs --tls-ca" }
            return nil
        }
    }

    let server: String
    private let authoritiesFile: String
    private let security: GRPCClientSecurity?
    private let headers: [GRPCTrailer]

    /// A connection without TLS.
    package init(to server: HostPort) {
        self.server = "\(server)"
        authoritiesFile = ""
        security = nil
        headers = []
    }

    /// Reads the files. Blocks.
    /// - Parameter host: The traced machine's name, by which HAProxy may choose one of several clusters; empty for none.
    /// - Throws: `TraceError` that names a file.
    package init(to server: String, files: Files, host: String = "") throws(TraceError) {
        self.server = server
        authoritiesFile = files.authorities ?? ""
        var headers: [GRPCTrailer] = []
        if let path = files.token {
            let token = try Self.read(path).split(whereSeparator: \.isWhitespace)
            guard token.count == 1 else {
                throw TraceError(.configuration, "\(path) holds no token, or more than one word")
            }
            headers.append(
                GRPCTrailer(name: "authorization", bytes: Array("Bearer \(token[0])".utf8))
            )
        }
        // Other characters cannot stand in a header.
        if !host.isEmpty, host.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            headers.append(GRPCTrailer(name: "x-trace-host", bytes: Array(host.utf8)))
        }
        self.headers = headers
        guard let path = files.authorities else {
            security = nil
            return
        }
        let authorities = try Self.pem(path, "CERTIFICATE")
        guard let certificate = files.certificate, let key = files.key else {
            security = GRPCClientSecurity(authorities: authorities)
            return
        }
        security = GRPCClientSecurity(
            authorities: authorities,
            identity: GRPCClientSecurity.Identity(
                certificate: try Self.pem(certificate, "CERTIFICATE"),
                key: try Self.pem(key, "PRIVATE KEY")
            )
        )
    }

    /// Makes a client, which connects at its first call.
    package func client() -> GRPCClient {
        GRPCClient(target: server, security: security, headers: headers)
    }

    /// Why trying again does not help, if the server's certificate is the reason; nil otherwise.
    func refusal(_ error: GRPCCallError) -> String? {
        guard security != nil, error.status == .unavailable else { return nil }
        let text = error.message.lowercased()
        if text.contains("certificate verify failed") || text.contains("certificate_verify_failed")
        {
            return
                "\(server): the server's certificate has expired, or is signed by none of the authorities in \(authoritiesFile)"
        }
        if text.contains("peer name"), text.contains("not in peer certificate") {
            let host = server.prefix(upTo: server.lastIndex(of: ":") ?? server.endIndex)
            return
                "\(host) is not the name in the server's certificate: name the server by --server as that does"
        }
        return nil
    }

    private static func pem(_ path: String, _ what: String) throws(TraceError) -> String {
        let text = try read(path)
        guard text.contains("-----BEGIN "), text.contains("\(what)-----") else {
            throw TraceError(.configuration, "\(path) holds no \(what.lowercased()) in PEM")
        }
        return text
    }

    private static func read(_ path: String) throws(TraceError) -> String {
        do throws(SystemError) {
            return String(decoding: try FileSystem.contents(path), as: UTF8.self)
        } catch {
            throw TraceError(.configuration, "\(path) can't be read", cause: error)
        }
    }
}
