import TraceModel

/// What is told about all settings in files of the project, made from `Setting.all`.
package enum ConfigurationReference: String, CaseIterable, Sendable {
    /// The page for people, deploy/CONFIGURATION.md.
    case page
    /// The options in `scripts/cluster --help`.
    case options
    /// The units' settings, deploy/systemd/cluster.env.
    case environment

    package var text: String {
        switch self {
        case .page: Self.pageText
        case .options: Self.optionsText
        case .environment: Self.environmentText
        }
    }

    // MARK: The page

    private static var pageText: String {
        """
        # Configuration

        <!-- Written by scripts/generate-reference from Sources/Operation/ClusterConfiguration/Setting+All.swift. -->

        | in a file | flag of `scripts/cluster up` | environment | default | |
        |---|---|---|---|---|
        \(Setting.all.map(row).joined(separator: "\n"))

        Of several sources the first one that says something counts:
        1. a flag of `up`;
        2. the environment (`SERVICE_PORT` and `METRICS_PORT` change the port only; what Kubernetes sets for Services of such names, \
        `tcp://…`, is passed over with a warning);
        3. the configuration file;
        4. what the flags and the environment of the last `up` said, and `scale` since, as `DIR/\
        \(ClusterPaths.remembered)` has it;
        5. the default.

        A line that is taken out of the file is of no more effect at the next `up`. The number of workers of a resource stays as \
        it was left where nothing else says one; a file that does wins over an earlier `scale`, which tells so.

        The file is `DIR/\(ClusterPaths.configuration)`, where it is there, or what `--config` names. It is one JSON object, in \
        which numbers are numbers, switches `true` or `false`, workers an object, and all else strings:
        ```
        \(example)
        ```

        | command | does |
        |---|---|
        | `tracectl config check [FILE]` | says all that is wrong with a file, with line and field; exit code 1 where something is |
        | `tracectl config show [--json] [flags of up]` | what the next `up` would run with, and where each value comes from |
        | `tracectl config compare [flags of up]` | where a running cluster differs from that, and how to apply it; exit code 1 where it does |
        | `tracectl config reference` | this page |

        The machine's time zone is that of `/etc/localtime`, a link or a plain file, whatever `/etc/timezone` says.

        A running cluster goes on with what it was started with. `TRACE_BIN_DIR` (programs to use instead of building) and \
        `DRAIN_TIMEOUT` (as `--timeout` of `stop`) are the script's own, of the environment only. Units of \
        systemd take the same options, from `systemd/cluster.env`.

        """
    }

    private static func row(_ setting: Setting) -> String {
        let flag = "`\(flagText(setting).replacing("|", with: "\\|"))`"
        let key = setting.isInFile ? "`\(setting.name)`" : ""
        let variable = setting.variable.map { "`\($0)`" } ?? ""
        let help = setting.help.replacing("|", with: "\\|")
        return "| \(key) | \(flag) | \(variable) | \(setting.defaultText) | \(help) |"
    }

    private static let example = """
        {
          "grpc": "0.0.0.0:50051",
          "workers": { "function": 4, "network": 2 },
          "inactivity_timeout": 3600,
          "log_budget": 20000000000,
          "time_zone": "Europe/Berlin",
          "csv_formula_guard": true,
          "compress": "gzip",
          "retain_age": "30d",
          "retain_bytes": "100G"
        }
        """

    // MARK: The options

    private static func flagText(_ setting: Setting) -> String {
        if case .onOff = setting.kind { return "\(setting.flag)[=off]" }
        return "\(setting.flag) \(setting.kind.syntax)"
    }

    private static var optionsText: String {
        Setting.all.map { setting in
            let variable = setting.variable.map { "; env \($0)" } ?? ""
            let help = "\(setting.help) (\(setting.defaultText)\(variable))"
            let lines = wrapped(help, width: 90).map { "          \($0)" }
            return "  \(flagText(setting))\n" + lines.joined(separator: "\n") + "\n"
        }.joined()
    }

    /// Lines of whole words, of at most `width` characters where words allow.
    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }

    // MARK: The units' settings

    private static var environmentText: String {
        let workers = Resource.allCases.map { "\($0.name)=1" }.joined(separator: ",")
        let options = Program.allCases.map { program in
            """
            # More options of \(program.name):
            \(optionRemarks(program))
            TRACE_\(program.rawValue.uppercased())_OPTIONS=

            """
        }
        return """
            # /etc/trace/cluster.env: what the units of the trace cluster share.
            # Written by scripts/generate-reference from Sources/Operation/ClusterConfiguration/Setting+All.swift.

            # \(Setting["grpc"].help) Where trace-router.socket is installed, it has an address of its own.
            TRACE_GRPC=\(Setting["grpc"].standard)
            # \(Setting["metrics"].help)
            TRACE_METRICS=\(Setting["metrics"].standard)
            # \(Setting["workers"].help)
            TRACE_WORKERS=\(workers)
            # \(Setting["time_zone"].help)
            TRACE_TIME_ZONE=UTC

            \(options.joined(separator: "\n"))
            """
    }

    private static func optionRemarks(_ program: Program) -> String {
        let shared = ["grpc", "metrics", "time_zone"]
        return Setting.all.filter { $0.readers.contains(program) && !shared.contains($0.name) }.map { setting in
            if case .onOff = setting.kind { return "#   \(setting.flag): \(setting.help)" }
            // A program has no word for off: without the option it is.
            let syntax = setting.kind.syntax.replacing("|off", with: "")
            return "#   \(setting.flag) \(syntax): \(setting.help)"
        }.joined(separator: "\n")
    }
}
