package import ClusterConfiguration
import SystemIO
import TraceModel

/// Shows a configuration and the sources of its values, as a table or as one JSON object.
package struct ConfigurationTable {
    /// A setting in the JSON object.
    private struct Setting: Encodable {
        let value: SettingValue
        let source: String
        let place: String?
    }

    private let configuration: EffectiveConfiguration

    package init(_ configuration: EffectiveConfiguration) { self.configuration = configuration }

    /// Returns the configuration as one JSON object.
    package func json() throws -> String {
        let pairs = configuration.entries.map { entry in
            let setting = Setting(
                value: entry.value,
                source: entry.source.name,
                place: place(entry.source)
            )
            return (entry.key, setting)
        }
        return try Report.json(Dictionary(uniqueKeysWithValues: pairs))
    }

    /// Returns the configuration as a table.
    package func text(terminal: Terminal) -> String {
        let rows = configuration.entries.map { entry in
            (entry.key, value(entry), place(entry.source) ?? entry.source.name)
        }
        let width = rows.map(\.1.count).max() ?? 0
        func line(_ key: String, _ value: String, _ place: String) -> String {
            key.padded(to: 20) + value.padded(to: width + 2) + place
        }
        let head = terminal.paint(line("SETTING", "VALUE", "FROM"), .bold)
        return ([head] + rows.map(line)).joined(separator: "\n")
    }

    private func value(_ entry: EffectiveConfiguration.Entry) -> String {
        switch entry.value {
        case .text(""): "-"
        case .number(0): "0 (\(entry.setting.defaultText))"
        default: "\(entry.value)"
        }
    }

    /// The exact place of a value, or nil where the source has none.
    private func place(_ source: SettingSource) -> String? {
        switch source {
        case .standard, .remembered: nil
        case .file(let line): "\(configuration["config"]):\(line)"
        case .environment(let name), .flag(let name): name
        }
    }
}

/// The cluster that `scripts/cluster` supervises in a data directory.
package enum RunningCluster {
    /// Reads the settings with which its programs were started. Blocks.
    package static func settings(in dataDirectory: String) -> RunningSettings {
        var commands: [Program: [String]] = [:]
        var workers: [Resource: Int] = [:]
        let services = "\(dataDirectory)/\(ClusterPaths.services)"
        for name in (try? FileSystem.list(services)) ?? [] where !name.hasPrefix(".") {
            guard let bytes = try? FileSystem.contents("\(services)/\(name)/argv") else { continue }
            let command = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(
                String.init
            )
            if let worker = WorkerName(name) {
                workers[worker.resource, default: 0] += 1
                commands[.worker] = command
            } else if let program = Program(rawValue: name) {
                commands[program] = command
            }
        }
        return RunningSettings(commands: commands, workers: workers)
    }
}
