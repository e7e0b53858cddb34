import ArgumentParser
import ClusterConfiguration
import OperatorTools

struct ConfigCompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Says where a running cluster differs from what the next up would run with.",
        discussion: """
            Takes the flags of scripts/cluster up, and the environment, as that does. A line for each difference on \
            standard error, then how to apply them; exit code 0 where there is none, else 1.

              tracectl config compare --data /var/lib/trace
              tracectl config compare --retain-age 7d
            """
    )

    @OptionGroup var settings: SettingOptions

    func run() throws {
        let wanted = try settings.effective()
        let running = RunningCluster.settings(in: settings.data.directory)
        let differences = running.differences(from: wanted)
        let scaling = running.scaling(to: wanted)
        guard !differences.isEmpty || scaling != nil else { return }
        for difference in differences { Terminal.error.line("  \(difference.text)") }
        let data = settings.data.directory
        if !differences.isEmpty {
            Terminal.error.line(
                "To apply: scripts/cluster stop --data \(data), then the same up again. Agents that retry lose nothing."
            )
        }
        if let scaling {
            Terminal.error.line(
                "Other numbers of workers are wanted. To apply, while it runs: scripts/cluster scale \(scaling) --data \(data)"
            )
        }
        throw ExitCode(1)
    }
}
