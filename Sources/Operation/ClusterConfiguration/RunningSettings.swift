import SystemIO
package import TraceModel

/// The settings that the programs of a running cluster were started with, to compare with those of the next start.
package struct RunningSettings: Sendable {
    /// The command line of each running program.
    private let commands: [Program: [String]]
    private let workers: [Resource: Int]

    /// - Parameters:
    /// - commands: The command line of each running program.
    /// - workers: The number of workers of each resource.
    package init(commands: [Program: [String]], workers: [Resource: Int]) {
        self.commands = commands
        self.workers = workers
    }

    /// A setting with which the cluster runs and would not be started now.
    package struct Difference: Equatable, Sendable {
        /// The setting's flag.
        package let flag: String
        package let running: String
        package let wanted: String

        /// A message for the operator.
        package var text: String { "\(flag): it runs with \(running), not with \(wanted)" }
    }

    /// Returns the differences in the order of `Setting.all`, without the numbers of workers.
    package func differences(from configuration: EffectiveConfiguration) -> [Difference] {
        configuration.entries.compactMap { entry in
            let setting = entry.setting
            // Behind HAProxy, the addresses that clients know are its own.
            let readers = setting.readers.sorted { $0 == .edge && $1 != .edge }
            guard let program = readers.first(where: { commands[$0] != nil }),
                let command = commands[program]
            else { return nil }
            let running = value(of: setting, in: command)
            let next = readers.first { $0 != .edge || configuration.usesEdge } ?? program
            let wanted = value(of: setting, in: configuration.arguments(of: next))
            guard running != wanted else { return nil }
            return Difference(
                flag: setting.flag,
                running: running ?? setting.absentText,
                wanted: wanted ?? setting.absentText
            )
        }
    }

    /// Returns the argument of `scale` that makes the numbers of workers those wanted; nil where they are.
    package func scaling(to configuration: EffectiveConfiguration) -> String? {
        let changed = Resource.allCases.compactMap { resource -> String? in
            guard case .number(let wanted) = configuration[Setting.key(of: resource)],
                let running = workers[resource],
                running != wanted
            else { return nil }
            return "\(resource.name)=\(wanted)"
        }
        return changed.isEmpty ? nil : changed.joined(separator: ",")
    }

    /// Returns a setting's value in a command line, or nil where it is left out, so that the default applies.
    private func value(of setting: Setting, in command: [String]) -> String? {
        guard let index = command.firstIndex(of: setting.flag) else { return nil }
        if case .onOff = setting.kind { return "on" }
        return index + 1 < command.count ? command[index + 1] : nil
    }
}
