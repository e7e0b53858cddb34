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
            guard let program = setting.readers.first(where: { commands[$0] != nil }),
                let command = commands[program]
            else { return nil }
            let running = value(of: setting, in: command)
            let wanted = value(of: setting, in: configuration.arguments(of: program))
            guard running != wanted else { return nil }
            return Difference(
                flag: setting.flag,
                running: running ?? setting.defaultText,
                wanted: wanted ?? setting.defaultText
            )
        }
    }

    /// What `scale` takes so that the numbers of workers become those wanted; nil where they are.
    package func scaling(to configuration: EffectiveConfiguration) -> String? {
        let changed = Resource.allCases.compactMap { resource -> String? in
            guard case .number(let wanted) = configuration[Setting.key(of: resource)],
                let running = workers[resource], running != wanted
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
