import ArgumentParser
import ClusterConfiguration
import Foundation
import OperatorTools
import SystemIO
import TraceModel

/// `tracectl edge`.
struct EdgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge",
        abstract:
            "Runs HAProxy in front of a cluster, and has it take changed certificates and tokens.",
        discussion: """
            scripts/cluster up starts it where the settings need it (--edge).

              tracectl edge reload --data /var/lib/trace

            In front of several clusters it runs by itself, in a directory of its own:

              tracectl edge run --data /var/lib/trace-edge --grpc 0.0.0.0:50051 \\
                --cell 10.0.0.11:50051 --cell 10.0.0.12:50051 --tls-cert server.pem --tls-key server.key
            """,
        subcommands: [EdgeRunCommand.self, EdgeReloadCommand.self, EdgeConfigurationCommand.self]
    )
}

/// The settings of HAProxy, in the syntax of scripts/cluster up.
struct EdgeOptions: ParsableArguments {
    @Option(help: "\(Setting["grpc"].help)") var grpc = HostPort.defaultServer

    @Option(help: "\(Setting["metrics"].help) Default: none.") var metrics: HostPort?

    @Option(help: "\(Setting["console"].help) Default: none.") var console: HostPort?

    @Option(help: "\(Setting["plain"].help) Default: none.") var plain: HostPort?

    @Option(help: "\(Setting["tls_cert"].help)") var tlsCert: String?

    @Option(help: "\(Setting["tls_key"].help)") var tlsKey: String?

    @Option(help: "\(Setting["tls_client_ca"].help)") var tlsClientCa: String?

    @Option(help: "\(Setting["token_file"].help)") var tokenFile: String?

    @Option(help: "\(Setting["trusted_proxy"].help)") var trustedProxy: String?

    @Option(
        help: ArgumentHelp(
            """
            The address of a cluster's router, which trusts this machine (--trusted-proxy); once for each of several \
            clusters, always in the same order. Calls go to one of them by the host that they are for.
            """,
            valueName: "addr:port"
        )
    ) var cell: [HostPort] = []

    func validate() throws {
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key go together")
        }
        guard trustedProxy.map({ AddressRange.list($0) != nil }) ?? true else {
            throw ValidationError(
                "--trusted-proxy takes \(Setting["trusted_proxy"].kind.expectation)"
            )
        }
    }

    var configuration: EdgeConfiguration {
        EdgeConfiguration(
            grpc: "\(grpc)",
            metrics: metrics.map { "\($0)" },
            console: console.map { "\($0)" },
            plain: plain.map { "\($0)" },
            usesTLS: tlsCert != nil,
            checksClients: tlsClientCa != nil,
            usesTokens: tokenFile != nil,
            trustedProxies: (trustedProxy.flatMap { AddressRange.list($0) } ?? []).map {
                "\($0)"
            },
            threads: min(ProcessInfo.processInfo.activeProcessorCount, Limits.edgeThreadsMax),
            cells: cell.map { "\($0)" }
        )
    }

    /// Paths are absolute, as the command changes its directory.
    var files: EdgeFiles {
        func absolute(_ path: String?) -> String? {
            path.map { FileSystem.realPath($0) ?? $0 }
        }
        return EdgeFiles(
            certificate: absolute(tlsCert),
            key: absolute(tlsKey),
            clientCA: absolute(tlsClientCa),
            tokens: absolute(tokenFile)
        )
    }
}

/// `tracectl edge run`.
struct EdgeRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs HAProxy until SIGTERM; for supervisors.",
        discussion: """
            Router, metrics and console listen on Unix sockets in the data directory, except with --cell. SIGHUP makes it take \
            changed certificates and tokens, as reload does.
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var options: EdgeOptions

    func run() throws {
        let files = options.files
        do {
            try FileSystem.createDirectory(data.directory)
            try FileSystem.changeDirectory(to: data.directory)
            let run = EdgeRun(configuration: options.configuration, files: files) {
                Terminal.error.line($0)
            }
            try run.run()
        } catch {
            Terminal.error.line("error: \(error)")
            Supervisor.endIfOrphaned()
            throw ExitCode(1)
        }
    }
}

/// `tracectl edge reload`.
struct EdgeReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Makes HAProxy take changed certificates and tokens.",
        discussion: """
            No connection is closed and no call fails. A wrong file is named, and what was in use stays. \
            Tokens count from the next call on, certificates from the next connection on.

              tracectl edge reload --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    func run() throws {
        for line in try EdgeControl(dataDirectory: data.directory).reload() {
            Terminal.output.line("reloaded \(line)")
        }
    }
}

/// `tracectl edge configuration`.
struct EdgeConfigurationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configuration",
        abstract: "Prints the configuration with which HAProxy would run."
    )

    @OptionGroup var options: EdgeOptions

    func run() { Terminal.output.write(options.configuration.text) }
}
