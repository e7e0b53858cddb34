import SystemIO
import TraceModel

/// HAProxy's program.
package enum EdgeProgram {
    /// Where it is; nil if it is not installed.
    package static var path: String? {
        ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"].first {
            FileSystem.exists($0)
        }
    }

    package static var isInstalled: Bool { path != nil }
}

/// Decides from the settings whether HAProxy stands in front of the other programs, and checks those that concern it.
struct EdgeDecision {
    let isEdgeInstalled: Bool
    /// Returns the value of a setting by its name.
    let value: (String) -> String

    /// Settings without a meaning where there is no HAProxy.
    private static let needed = ["tls_cert", "tls_key", "tls_client_ca", "token_file", "plain"]

    private func isSet(_ name: String) -> Bool { value(name) != "off" }

    /// Returns whether there is an HAProxy.
    /// - Throws: `TraceError(.invalidArgument)` where settings contradict one another.
    func usesEdge() throws(TraceError) -> Bool {
        let wanted = Self.needed.first(where: isSet)
        let usesEdge =
            switch value("edge") {
            case "on": true
            case "off": false
            default: wanted != nil || isEdgeInstalled && isReachedByOthers
            }
        if let wanted, !usesEdge {
            throw Self.problem("\(flag(wanted)) needs HAProxy, which --edge off leaves out")
        }
        if isSet("tls_cert") != isSet("tls_key") {
            throw Self.problem("--tls-cert and --tls-key go together")
        }
        if isSet("tls_client_ca"), !isSet("tls_cert") {
            throw Self.problem("--tls-client-ca needs --tls-cert and --tls-key")
        }
        guard value("require_host_identity") == "on" else { return usesEdge }
        guard isSet("tls_client_ca") || !usesEdge && isSet("trusted_proxy") else {
            throw Self.problem(
                "--require-host-identity needs clients that show a certificate: name --tls-client-ca, or, with"
                    + " --edge off, the --trusted-proxy that asks for it"
            )
        }
        if isSet("plain") {
            throw Self.problem(
                "--require-host-identity and --plain do not go together: no certificate is shown there"
            )
        }
        return usesEdge
    }

    var warnings: [String] {
        let (hasTokens, hasTLS) = (isSet("token_file"), isSet("tls_cert"))
        if hasTokens, !hasTLS {
            return ["--token-file without --tls-cert: the tokens can be read on the network."]
        }
        // TLS alone tells clients who the server is, not the server who they are.
        guard hasTLS, !hasTokens, !isSet("tls_client_ca"), isReachedByOthers else { return [] }
        return [
            "--tls-cert without --tls-client-ca or --token-file: any machine that reaches an address may send batches and"
                + " read metrics and console."
        ]
    }

    private var isReachedByOthers: Bool {
        ["grpc", "metrics", "console"].contains { name in
            guard let address = HostPort(value(name)) else { return false }
            return
                !(address.host == "localhost" || address.host == "::1"
                || address.host.hasPrefix("127."))
        }
    }

    private func flag(_ name: String) -> String { Setting[name].flag }

    private static func problem(_ text: String) -> TraceError {
        TraceError(.invalidArgument, text)
    }
}
