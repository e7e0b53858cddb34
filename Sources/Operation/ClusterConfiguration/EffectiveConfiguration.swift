import SystemIO
package import TraceModel

/// A program that a cluster runs.
package enum Program: String, CaseIterable, Sendable {
    case router
    case worker
    case aggregator
    case console
    /// HAProxy, under `tracectl edge run`.
    case edge

    package var name: String { self == .edge ? "tracectl edge run" : "trace-\(rawValue)" }
}

/// The problems of a configuration, thrown together.
package struct ConfigurationProblems: Error, Sendable { package let problems: [TraceError] }

/// The settings a cluster is to run with, and where each value comes from. Flags win over the environment, which wins
/// over the configuration file, over what the last `up` or `scale` left, and over the defaults.
package struct EffectiveConfiguration: Sendable {
    /// The value of one setting with its source.
    package struct Entry: Sendable {
        package let setting: Setting
        /// The setting's name, or `workers.` and a resource.
        package let key: String
        package let value: SettingValue
        package let source: SettingSource
    }

    /// The entries in the order of `Setting.all`.
    package let entries: [Entry]
    /// Messages for the operator about values that were ignored.
    package let warnings: [String]
    /// Whether HAProxy stands in front of the other programs.
    package let usesEdge: Bool

    /// Determines the configuration. Blocks on the file system.
    /// - Parameters:
    ///   - environment: a variable's value, nil where it is not set.
    ///   - variables: the names of all that are set.
    ///   - flags: the command line.
    ///   - isEdgeInstalled: whether there is an HAProxy.
    /// - Throws: `ConfigurationProblems` about the configuration file; `TraceError`, `.invalidArgument` where
    ///   a flag or a variable is at fault.
    package init(
        dataDirectory: String,
        environment variable: (String) -> String?,
        variables: [String] = [],
        flags words: [String],
        isEdgeInstalled: Bool = EdgeProgram.isInstalled
    ) throws {
        let flags = try SettingFlags.read(words)
        // A setting that a flag sets is not read from the environment, so an error there does not matter.
        func environment(_ setting: Setting) -> String? {
            guard let name = setting.variable, flags[setting.name] == nil,
                let text = variable(name), !text.isEmpty,
                !Self.isServiceLink(text)
            else { return nil }
            return text
        }
        var warnings = Setting.all.compactMap { setting -> String? in
            guard let name = setting.variable, flags[setting.name] == nil,
                let text = variable(name),
                Self.isServiceLink(text)
            else { return nil }
            return "\(name)=\(text) is ignored: Kubernetes sets it for a Service of that name"
                + " (enableServiceLinks: false leaves it out), and it is no port; \(setting.flag)"
                + " chooses the address"
        }
        warnings += variables.sorted().compactMap(Self.misspelling)
        var layer = Self.standard
        layer = layer.overlaid(
            by: try RememberedSettings.read("\(dataDirectory)/\(ClusterPaths.remembered)") {
                warnings.append($0)
            }
        )
        // The configuration file's path has to be known before its content.
        let place = try Self.environment(environment, over: layer).overlaid(by: flags)["config"]
        let path = try Self.file(place ?? layer["config"], in: dataDirectory, into: &layer)
        layer = layer.overlaid(by: try Self.environment(environment, over: layer)).overlaid(
            by: flags
        )
        layer.set("config", .text(path), layer["config"]?.source ?? .standard)
        entries = Self.entries(layer)
        let edge = EdgeDecision(isEdgeInstalled: isEdgeInstalled) { name in
            layer[name]?.value.description ?? Setting[name].standard
        }
        usesEdge = try edge.usesEdge()
        self.warnings = warnings + edge.warnings
        let addresses = ["grpc", "metrics", "console", "plain"]
        for (index, one) in addresses.enumerated() {
            for other in addresses[(index + 1)...]
            where self[one] == self[other] && self[one] != .text("off") {
                throw TraceError(
                    .invalidArgument,
                    "--\(one) and --\(other) name the same address \(self[one])"
                )
            }
        }
    }

    /// Returns the value of a setting by its key.
    package subscript(_ key: String) -> SettingValue {
        guard let entry = entries.first(where: { $0.key == key }) else {
            preconditionFailure("no setting \(key)")
        }
        return entry.value
    }

    /// The numbers of workers in the syntax of `--workers`.
    package var workers: String {
        Resource.allCases.map { "\($0.name)=\(self[Setting.key(of: $0)])" }.joined(separator: ",")
    }

    // MARK: Layers

    private static var standard: SettingLayer {
        var layer = SettingLayer()
        for setting in Setting.all {
            for key in setting.keys { layer.set(key, setting.standardValue, .standard) }
        }
        return layer
    }

    /// Overlays the configuration file's values on `layer`. Returns the file's path, or an empty string where there is
    /// none.
    private static func file(
        _ entry: SettingLayer.Entry?,
        in dataDirectory: String,
        into layer: inout SettingLayer
    ) throws -> String {
        var path = entry?.value.description ?? ""
        if path.isEmpty {
            path = "\(dataDirectory)/\(ClusterPaths.configuration)"
            guard FileSystem.exists(path) else { return "" }
        }
        let file = try ConfigurationFile(path)
        guard file.problems.isEmpty else { throw ConfigurationProblems(problems: file.problems) }
        layer = layer.overlaid(by: file.layer)
        return path
    }

    private static func environment(
        _ environment: (Setting) -> String?,
        over lower: SettingLayer
    ) throws(TraceError) -> SettingLayer {
        var layer = SettingLayer()
        for setting in Setting.all {
            guard let name = setting.variable, let text = environment(setting) else { continue }
            let word = setting.word(ofVariable: text, over: lower[setting.name]?.value)
            for (key, value) in try setting.values(of: word, at: name) {
                layer.set(key, value, .environment(name))
            }
        }
        return layer
    }

    /// Returns a warning about a variable `TRACE_…` that nothing reads and whose name resembles one that is read.
    private static func misspelling(_ name: String) -> String? {
        let known = [
            "TRACE_BIN_DIR", "TRACE_GRPC", "TRACE_METRICS", "TRACE_CONSOLE", "TRACE_WORKERS",
            "TRACE_TIME_ZONE", "TRACE_GRPC_PUBLIC_ONLY",
            "TRACE_ROUTER_OPTIONS",
            "TRACE_WORKER_OPTIONS", "TRACE_AGGREGATOR_OPTIONS", "TRACE_CONSOLE_OPTIONS",
            "TRACE_EDGE_OPTIONS",
        ]
        guard name.hasPrefix("TRACE_"), !known.contains(name) else { return nil }
        // The common prefix must not count as a resemblance.
        func tail(_ name: String) -> String { String(name.dropFirst("TRACE_".count)) }
        return Suggestion.nearest(to: tail(name), among: known.map(tail)).map {
            "\(name) is ignored, as nothing reads it; did you mean TRACE_\($0)?"
        }
    }

    /// Whether the text is a service link: Kubernetes sets NAME_PORT=tcp://10.96.3.4:9091 in containers for each Service
    /// NAME.
    private static func isServiceLink(_ text: String) -> Bool {
        ["tcp://", "udp://", "sctp://"].contains { text.hasPrefix($0) }
    }

    private static func entries(_ layer: SettingLayer) -> [Entry] {
        Setting.all.flatMap { setting in
            setting.keys.compactMap { key in
                layer[key].map {
                    Entry(setting: setting, key: key, value: $0.value, source: $0.source)
                }
            }
        }
    }
}

extension EffectiveConfiguration {
    /// Returns the options that the settings give a program.
    package func arguments(of program: Program) -> [String] {
        guard usesEdge || program != .edge else { return [] }
        return entries.filter { $0.setting.readers.contains(program) }.flatMap { entry in
            switch value(of: entry, for: program) {
            case .isOn(false), .number(0), .text("off"): [] as [String]
            case .isOn(true): [entry.setting.flag]
            case let value: [entry.setting.flag, "\(value)"]
            }
        }
    }

    /// Returns the value that a program gets: behind HAProxy each listens on a socket of its own.
    private func value(of entry: Entry, for program: Program) -> SettingValue {
        switch (program, entry.key) {
        case (.aggregator, "edge"): .text(usesEdge ? "on" : "off")
        case (.router, "grpc") where usesEdge: .text("unix:\(ClusterPaths.grpcSocket)")
        case (.aggregator, "metrics") where usesEdge: .text("unix:\(ClusterPaths.metricsSocket)")
        case (.console, "console") where usesEdge && entry.value != .text("off"):
            .text("unix:\(ClusterPaths.consoleSocket)")
        default: entry.value
        }
    }

    /// The configuration for `scripts/cluster`, as lines NAME=VALUE: `grpc`, `metrics`, `workers`; `listen`, where the
    /// router listens; `tls`, whether clients have to speak it;
    /// `console_address`, which may be `off`; a program's name with its options, which contain no spaces; and `remembered.` with a setting's name for values that the next
    /// start keeps. The latter do not include the numbers of workers: the script knows which workers own the slots.
    package var exported: String {
        var lines = [
            "grpc=\(self["grpc"])", "metrics=\(self["metrics"])",
            "console_address=\(self["console"])", "workers=\(workers)",
            "listen=\(usesEdge ? "unix:\(ClusterPaths.grpcSocket)" : "\(self["grpc"])")",
            "tls=\(self["tls_cert"] == .text("off") ? "off" : "on")",
        ]
        for program in Program.allCases {
            let words = arguments(of: program).joined(separator: " ")
            lines.append("\(program.rawValue)=\(words)")
        }
        for entry in entries where entry.key == entry.setting.name && entry.source.isRemembered {
            lines.append("remembered.\(entry.key)=\(entry.value)")
        }
        return lines.joined(separator: "\n")
    }
}
