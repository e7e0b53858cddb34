import TraceModel

/// Files of the project that describe all settings, generated from `Setting.all`.
package enum ConfigurationReference: String, CaseIterable, Sendable {
    /// The reference page, deploy/CONFIGURATION.md.
    case page
    /// The options in `scripts/cluster --help`.
    case options
    /// The settings of the systemd units, deploy/systemd/cluster.env.
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

        The first of these sources that sets a value counts:
        1. a flag of `up`;
        2. the environment (`SERVICE_PORT`, `METRICS_PORT` and `CONSOLE_PORT` change the port only, and `CONSOLE_PORT=off` leaves the console out; what Kubernetes sets for Services of such names, \
        `tcp://…`, is ignored with a warning);
        3. the configuration file;
        4. the values that flags and environment of the last `up`, and `scale` since then, have set, kept in `DIR/\
        \(ClusterPaths.remembered)`;
        5. the default.

        A line that is removed from the file has no effect at the next `up`. The number of workers of a resource is remembered \
        where no other source sets it; one in the file wins over an earlier `scale`, which warns about it.

        The file is the one that `--config` names, or `DIR/\(ClusterPaths.configuration)` if it exists. It contains one JSON object, in \
        which numbers are numbers, switches `true` or `false`, workers an object, and everything else strings:
        ```
        \(example)
        ```

        | command | does |
        |---|---|
        | `tracectl config check [FILE]` | reports all errors of a file, with line and field; exit code 1 where there are some |
        | `tracectl config show [--json] [flags of up]` | shows what the next `up` would run with, and where each value comes from |
        | `tracectl config compare [flags of up]` | reports where a running cluster differs from that, and how to apply it; exit code 1 where it does |
        | `tracectl config reference` | prints this page |

        The machine's time zone is that of `/etc/localtime`, a link or a plain file, whatever `/etc/timezone` says.

        A running cluster keeps the settings it was started with. `TRACE_BIN_DIR` (programs to use instead of building) and \
        `DRAIN_TIMEOUT` (the default of `--timeout` for `stop`) belong to the script and can only be set in the environment. \
        Systemd units take the same options, from `systemd/cluster.env`.

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

    /// Returns lines of whole words, of at most `width` characters where words allow.
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

    // MARK: Settings of the systemd units

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
            # /etc/trace-processor/cluster.env: settings that the units of the trace cluster share.
            # Written by scripts/generate-reference from Sources/Operation/ClusterConfiguration/Setting+All.swift.

            # \(Setting["grpc"].help) An installed trace-router.socket has its own address.
            TRACE_GRPC=\(Setting["grpc"].standard)
            # \(Setting["metrics"].help)
            TRACE_METRICS=\(Setting["metrics"].standard)
            # \(Setting["console"].help)
            TRACE_CONSOLE=\(Setting["console"].standard)
            # \(Setting["workers"].help)
            TRACE_WORKERS=\(workers)
            # \(Setting["time_zone"].help)
            TRACE_TIME_ZONE=UTC

            \(options.joined(separator: "\n"))
            """
    }

    private static func optionRemarks(_ program: Program) -> String {
        let shared = ["grpc", "metrics", "console", "time_zone"]
        return Setting.all.filter { $0.readers.contains(program) && !shared.contains($0.name) }.map
        { setting in
            if case .onOff = setting.kind { return "#   \(setting.flag): \(setting.help)" }
            // Programs do not take the word `off`: leaving the option out means off.
            let syntax = setting.kind.syntax.replacing("|off", with: "")
            return "#   \(setting.flag) \(syntax): \(setting.help)"
        }.joined(separator: "\n")
    }
}
