import SystemIO
package import TraceModel

/// What the programs of a cluster were started with, beside what the next start would give them.
package struct RunningSettings: Sendable {
    /// The command line of each program that runs.
    private let commands: [Program: [String]]
    private let workers: [Resource: Int]

    /// `workers`: how many of each resource there are.
    package init(commands: [Program: [String]], workers: [Resource: Int]) {
        self.commands = commands
        self.workers = workers
    }

    /// A setting that the cluster does not run with as it would be started now.
    package struct Difference: Equatable, Sendable {
        /// The flag.
        package let flag: String
        package let running: String
        package let wanted: String

        /// For a person.
        package var text: String { "\(flag): it runs with \(running), not with \(wanted)" }
    }

    /// In the order of `Setting.all`; the numbers of workers are not among them.
    package func differences(from configuration: EffectiveConfiguration) -> [Difference] {
        configuration.entries.compactMap { entry in
            let setting = entry.setting
            guard let program = setting.readers.first(where: { commands[$0] != nil }), let command = commands[program]
            else { return nil }
            let running = value(of: setting, in: command)
            let wanted = value(of: setting, in: configuration.arguments(of: program))
            guard running != wanted else { return nil }
            return Difference(
                flag: setting.flag, running: running ?? setting.defaultText, wanted: wanted ?? setting.defaultText)
        }
    }

    /// What `scale` takes so that the numbers of workers become those wanted; nil where they are.
    package func scaling(to configuration: EffectiveConfiguration) -> String? {
        let changed = Resource.allCases.compactMap { resource -> String? in
            guard case .number(let wanted) = configuration[Setting.key(of: resource)], let running = workers[resource],
                running != wanted
            else { return nil }
            return "\(resource.name)=\(wanted)"
        }
        return changed.isEmpty ? nil : changed.joined(separator: ",")
    }

    /// Nil where the command line leaves it out: then its default holds.
    private func value(of setting: Setting, in command: [String]) -> String? {
        guard let place = command.firstIndex(of: setting.flag) else { return nil }
        if case .onOff = setting.kind { return "on" }
        return place + 1 < command.count ? command[place + 1] : nil
    }
}

// What scripts/cluster remembers
// ==============================
//
// `run/cluster.conf` in the data directory: lines of NAME=VALUE, `#` before remarks. Names are those of the
// settings; an empty value is none. `workers` says which workers own the slots, `scaling` where an interrupted
// scale was to lead. The script writes it; values that came from a configuration file are not in it, so that a
// line taken out of the file is of no more effect.

/// Reads what the last start left.
enum RememberedSettings {
    /// Nothing where there is no such file. Blocks.
    /// - Throws: `TraceError(.configuration)` that names the line.
    static func read(_ path: String) throws(TraceError) -> SettingLayer {
        guard FileSystem.exists(path) else { return SettingLayer() }
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try FileSystem.contents(path) } catch {
            throw TraceError(.configuration, "\(path) can't be read", cause: error)
        }
        return try layer(String(decoding: bytes, as: UTF8.self), path)
    }

    static func layer(_ text: String, _ path: String) throws(TraceError) -> SettingLayer {
        var layer = SettingLayer()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty && !line.hasPrefix("#") {
            do throws(TraceError) { try read(line, into: &layer) } catch {
                let problem = "\(path):\(index + 1): \(error.message)"
                throw TraceError(.configuration, problem, remedy: "Delete the line")
            }
        }
        return layer
    }

    private static func read(_ line: Substring, into layer: inout SettingLayer) throws(TraceError) {
        let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // It stands behind `workers`, and so wins.
        let name = parts[0] == "scaling" ? "workers" : String(parts[0])
        guard parts.count == 2, let setting = Setting.all.first(where: { $0.name == name }) else {
            throw TraceError(.configuration, "unknown setting \(parts[0])")
        }
        guard !parts[1].isEmpty else { return }
        // Whether that file is still there matters only if no other one is named.
        if case .file = setting.kind { return layer.set(name, .text(String(parts[1])), .remembered) }
        for (key, value) in try setting.values(of: String(parts[1]), at: name) { layer.set(key, value, .remembered) }
    }
}
