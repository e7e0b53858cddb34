import ArgumentParser
import ClusterConfiguration
import Glibc
import OperatorTools
import TraceModel

/// The settings of a cluster as scripts/cluster up takes them.
struct SettingOptions: ParsableArguments {
    @OptionGroup var data: DataOptions

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Flags of scripts/cluster up.", valueName: "flags")
    )
    var flags: [String] = []

    /// Says what is wrong, where something is.
    /// - Throws: `ExitCode`: 2 for a flag or a variable, 1 for what stands in files.
    func effective() throws -> EffectiveConfiguration {
        do {
            let configuration = try EffectiveConfiguration(
                dataDirectory: data.directory,
                environment: { getenv($0).map { String(cString: $0) } },
                flags: flags
            )
            for warning in configuration.warnings { Terminal.error.line("warning: \(warning)") }
            return configuration
        } catch let error as ConfigurationProblems {
            for problem in error.problems { Terminal.error.line("error: \(problem)") }
            throw ExitCode(1)
        } catch let error as TraceError {
            Terminal.error.line("error: \(error)")
            throw ExitCode(error.code == .invalidArgument ? 2 : 1)
        }
    }
}
