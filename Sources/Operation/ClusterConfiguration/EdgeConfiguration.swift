import TraceModel

/// What HAProxy is to do in front of router, metrics and console, and the text of its configuration. A value without
/// I/O. HAProxy runs in the data directory, so that paths are those of `ClusterPaths`.
package struct EdgeConfiguration: Equatable, Sendable {
    package var grpc: String
    /// Nil where there are none to serve.
    package var metrics: String?
    /// Nil where the cluster has no console.
    package var console: String?
    /// An address for agents without TLS and tokens; nil for none.
    package var plain: String?
    /// Whether clients have to speak TLS.
    package var usesTLS: Bool
    /// Whether each client has to show a certificate.
    package var checksClients: Bool
    package var usesTokens: Bool
    /// Addresses of proxies that name their clients.
    package var trustedProxies: [String]
    package var threads: Int
    /// Addresses of the routers to which calls are distributed by host; empty for the one of this data directory. Their
    /// number and order must not change while their clusters have data: each host's events belong to one of them.
    package var cells: [String]

    package init(
        grpc: String,
        metrics: String? = nil,
        console: String? = nil,
        plain: String? = nil,
        usesTLS: Bool = false,
        checksClients: Bool = false,
        usesTokens: Bool = false,
        trustedProxies: [String] = [],
        threads: Int = 1,
        cells: [String] = []
    ) {
        self.grpc = grpc
        self.metrics = metrics
        self.console = console
        self.plain = plain
        self.usesTLS = usesTLS
        self.checksClients = checksClients
        self.usesTokens = usesTokens
        self.trustedProxies = trustedProxies
        self.threads = threads
        self.cells = cells
    }

    /// HAProxy's configuration (2.6: https://docs.haproxy.org/2.6/configuration.html).
    package var text: String {
        var parts = [global, defaults, sources]
        parts.append(grpcFrontend("grpc", at: grpc, isPlain: false))
        if let plain { parts.append(grpcFrontend("plain", at: plain, isPlain: true)) }
        if let metrics {
            parts.append(httpFrontend("metrics", at: metrics, open: "/healthz /readyz"))
        }
        if let console { parts.append(httpFrontend("console", at: console, open: nil)) }
        parts.append(router)
        if metrics != nil {
            parts.append(httpBackend("metrics", ClusterPaths.metricsSocket))
        }
        if console != nil { parts.append(httpBackend("console", ClusterPaths.consoleSocket)) }
        return parts.joined(separator: "\n")
    }

    // MARK: Sections

    private var global: String {
        """
        # Written by tracectl edge run at each start; changes are lost.
        global
            log stderr format raw local0 notice
            stats socket unix@\(ClusterPaths.edgeSocket) mode 600 level admin
            maxconn \(Limits.edgeConnectionsMax)
            nbthread \(threads)
            hard-stop-after \(Limits.edgeEndSeconds)s
            tune.h2.max-concurrent-streams \(Limits.edgeStreamsPerConnectionMax)
            tune.h2.header-table-size 4096
            # A session that is resumed would not check whether the client's certificate has expired since.
            tune.ssl.cachesize 0
            ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
            ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20

        """
    }

    private var defaults: String {
        """
        defaults
            mode http
            timeout connect 5s
            timeout http-request \(Limits.edgeHeadSeconds)s
            timeout http-keep-alive \(Limits.edgeIdleSeconds)s
            timeout client \(Limits.edgeSilenceSeconds)s
            timeout server \(Limits.edgeSilenceSeconds)s
            timeout client-fin 10s
            # A server that restarts is waited for.
            retries 30

        """
    }

    /// The table in which the clients' addresses are counted.
    private var sources: String {
        """
        backend sources
            # gpc: calls let in, calls answered. gpt: their difference up to ten seconds ago, when that was.
            stick-table type ipv6 size \(Limits.edgeSourcesMax) expire 60s store conn_cur,http_req_rate(10s),gpc(2),gpt(2)

        """
    }

    private func bind(_ address: String, _ options: String, isPlain: Bool) -> String {
        guard usesTLS, !isPlain else {
            return "    bind \(address)\(isPlainGRPC(options) ? " proto h2" : "")"
        }
        // The rules below refuse a certificate that is not valid; they can say why, other than a TLS alert.
        let client =
            checksClients
            ? " verify optional ca-file \(ClusterPaths.edgeClientCA) crt-ignore-err all ca-ignore-err all"
            : ""
        return
            "    bind \(address) ssl crt \(ClusterPaths.edgeCertificate) alpn \(options)\(client)"
    }

    private func isPlainGRPC(_ options: String) -> Bool { options == "h2" }

    /// Counts connections and calls by address, and lets trusted proxies name their clients.
    private var limits: [String] {
        let most = Limits.edgeConnectionsPerSourceMax
        guard !trustedProxies.isEmpty else {
            return [
                "tcp-request connection track-sc0 src table sources",
                "tcp-request connection reject if { sc0_conn_cur gt \(most) }",
            ]
        }
        return [
            "tcp-request connection expect-proxy layer4 if { src \(trustedProxies.joined(separator: " ")) }",
            "tcp-request session track-sc0 src table sources",
            "tcp-request session reject if { sc0_conn_cur gt \(most) }",
        ]
    }

    private func grpcFrontend(_ name: String, at address: String, isPlain: Bool) -> String {
        var rules = limits
        rules += floodRules
        rules.append(
            refusal(8, "too many calls from this address") + " if { sc0_http_req_rate gt "
                + "\(Limits.edgeCallsPerSourceMax) }"
        )
        if !isPlain {
            rules += certificateChecks.map { refusal(16, $0.text) + " \($0.condition)" }
            rules += grpcTokenRules
        }
        rules += errorReplies
        rules.append(
            "http-after-response set-header content-type application/grpc unless { res.hdr(content-type) -m found }"
        )
        rules += [
            "http-request sc-inc-gpc(0,0)",
            // Only a call that is here as a whole can be sent to a router again. Of a larger one a buffer full is waited for.
            "http-request wait-for-body time \(Limits.receiveSeconds)s if { path /NeuTracer.TracerService/SendTraceBatch }",
            "default_backend router",
        ]
        return section("frontend \(name)", [bind(address, "h2", isPlain: isPlain)], rules)
    }

    /// Drops the connections of an address whose clients break off many calls (CVE-2023-44487). Counts are exact: two
    /// rates whose periods begin at different times differ by thousands where a client begins to make thousands of calls a
    /// second.
    private var floodRules: [String] {
        let perConnection = Limits.edgeStreamsPerConnectionMax
        return [
            "http-request set-var(txn.answered) sc_get_gpc(1,0)",
            "http-request set-var(txn.unanswered) sc_get_gpc(0,0),sub(txn.answered)",
            "http-request set-var(txn.since) sc_get_gpt(1,0)",
            "acl is_due date,sub(txn.since) gt 10",
            "http-request sc-set-gpt(0,0) var(txn.unanswered) if is_due",
            "http-request sc-set-gpt(1,0) date if is_due",
            "http-request set-var(txn.allowed) sc0_conn_cur,mul(\(perConnection)),add(\(Limits.edgeUnansweredMin))",
            "http-request set-var(txn.limit) sc_get_gpt(0,0),add(txn.allowed)",
            "http-request set-var(txn.most) sc_get_gpt(0,0),add(\(Limits.edgeUnansweredPerSourceMax))",
            // HAProxy 2.6 makes the sum of two negative numbers positive, so that none may come up.
            "acl is_flood var(txn.unanswered),sub(txn.limit) gt 0",
            "acl is_flood var(txn.unanswered),sub(txn.most) gt 0",
            "http-request silent-drop if is_flood { var(txn.unanswered) -m int gt 0 }",
            "http-response sc-inc-gpc(1,0)",
        ]
    }

    private var grpcTokenRules: [String] {
        guard usesTokens else { return [] }
        return [
            "acl is_probe path_beg /grpc.health.v1.Health/",
            "acl is_ingest path_beg /NeuTracer.TracerService/",
            "http-request set-var(txn.scope) http_auth_bearer,\(digest)",
            refusal(16, "no token; send authorization: Bearer TOKEN")
                + " if !is_probe !{ req.hdr(authorization) -m found }",
            refusal(16, "the token is not known") + " if !is_probe !{ var(txn.scope) -m found }",
            refusal(7, "the token is not for ingest")
                + " if is_ingest !{ var(txn.scope) -m str ingest admin }",
            refusal(7, "the token is for ingest only")
                + " if !is_ingest !is_probe { var(txn.scope) -m str ingest }",
        ]
    }

    private func httpFrontend(_ name: String, at address: String, open: String?) -> String {
        var rules = limits
        rules.append(
            denial(429, "too many requests from this address") + " if { sc0_http_req_rate gt "
                + "\(Limits.edgeCallsPerSourceMax) }"
        )
        if let open { rules.append("acl is_open path \(open)") }
        rules += certificateChecks.map { denial(403, $0.text) + " \($0.condition)" }
        if usesTokens {
            let others = open == nil ? "" : "!is_open "
            rules += [
                "http-request set-var(txn.scope) http_auth_bearer,\(digest)",
                "http-request set-var(txn.scope) http_auth_pass,\(digest) unless { var(txn.scope) -m found }",
                denial(401, "send a token: as Bearer, or as the password")
                    + " hdr www-authenticate 'Basic realm=\"trace\"' if \(others)!{ var(txn.scope) -m found }",
                denial(403, "the token is not for reading")
                    + " if \(others)!{ var(txn.scope) -m str read admin }",
            ]
        }
        rules.append("http-request del-header authorization")
        rules.append("http-request set-header x-forwarded-proto https if { ssl_fc }")
        rules.append("http-request del-header x-forwarded-proto unless { ssl_fc }")
        rules.append("default_backend \(name)")
        return section(
            "frontend \(name)",
            [bind(address, "h2,http/1.1", isPlain: false)],
            rules
        )
    }

    private var router: String {
        // Each client has connections of its own, as they begin with its address: what one does with its connection is no
        // other's affair.
        let options =
            "proto h2 \(checksClients ? "send-proxy-v2-ssl-cn" : "send-proxy-v2") pool-purge-delay 60s"
        guard !cells.isEmpty else {
            let server = "    server router unix@\(ClusterPaths.grpcSocket) \(options)"
            return section("backend router", [server], [retries] + errorReplies)
        }
        // No health check: a cell that is down is waited for, as another one knows nothing of its hosts.
        let servers = cells.enumerated().map { index, address in
            "    server cell\(index + 1) \(address) id \(index + 1) \(options)"
        }
        var rules = ["http-request set-var(txn.host) src"]
        if checksClients {
            rules.append("http-request set-var(txn.host) ssl_c_s_dn(cn) if { ssl_c_used }")
        }
        rules.append(
            "http-request set-var(txn.host) req.hdr(x-trace-host) if { req.hdr(x-trace-host) -m found }"
        )
        rules += ["balance hash var(txn.host)", "hash-type consistent"]
        return section(
            "backend router",
            servers,
            rules + [retries] + errorReplies
        )
    }

    /// A call that a router has not answered when it ends is sent to the next one, as an agent does that gets no answer.
    private var retries: String { "retry-on conn-failure empty-response" }

    private func httpBackend(_ name: String, _ socket: String) -> String {
        section(
            "backend \(name)",
            ["    server \(name) unix@\(socket)"],
            // Only reading is possible there, so a request may be repeated.
            ["retry-on conn-failure empty-response"]
        )
    }

    private func section(_ title: String, _ first: [String], _ rules: [String]) -> String {
        ([title] + first + rules.map { "    \($0)" }).joined(separator: "\n") + "\n"
    }

    // MARK: Rules

    /// Looks up the scope of a token by its digest: the time that this takes says nothing about other tokens.
    private var digest: String { "sha2(256),hex,lower,map(\(ClusterPaths.edgeTokens))" }

    /// Why a client's certificate is refused, with the condition. Numbers are OpenSSL's (`man openssl-verification-options`).
    private var certificateChecks: [(text: String, condition: String)] {
        guard checksClients else { return [] }
        return [
            ("no client certificate; one is required", "unless { ssl_c_used }"),
            ("the client certificate has expired", "if { ssl_c_verify 10 }"),
            ("the client certificate is not valid yet", "if { ssl_c_verify 9 }"),
            (
                "the client certificate is signed by no authority that this server knows",
                "if { ssl_c_verify 2 18 19 20 21 }"
            ),
            (
                "the client certificate is not valid (OpenSSL %[ssl_c_verify])",
                "unless { ssl_c_verify 0 }"
            ),
        ]
    }

    /// Replies of HAProxy's own as gRPC's `RESOURCE_EXHAUSTED`, upon which agents try again; after `UNAVAILABLE`, which
    /// clients make of a bare 503, some stop for good.
    private var errorReplies: [String] {
        [
            (408, 4, "the call came too slowly"), (500, 8, "an error of HAProxy"),
            (502, 8, "the router ended during the call"), (503, 8, "the router does not answer"),
            (504, 8, "the router took too long"),
        ].map {
            "http-error status \($0) hdr grpc-status \($1) hdr grpc-message \"edge: \($2)\""
        }
    }

    private func refusal(_ status: Int, _ text: String) -> String {
        "http-request return status 200 hdr grpc-status \(status) hdr grpc-message \"edge: \(text)\""
    }

    private func denial(_ status: Int, _ text: String) -> String {
        "http-request return status \(status) content-type text/plain lf-string \"\(text)\\n\""
    }
}
