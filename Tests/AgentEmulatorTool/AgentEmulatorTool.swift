import AgentEmulator
import ArgumentParser
import Foundation
import TraceModel

/// Writes a run of the emulated agent for tests that send it with other means.
@main struct AgentEmulatorTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent-emulator",
        abstract: "Writes what an agent sends in one emulated run, and what happened in truth.",
        discussion: """
            The same seed gives the same bytes. The messages stand one behind another in the order in \
            which the agent sends them, each behind its length as four bytes, little endian.
            """,
        version: BuildInfo.version
    )

    @Option(help: "What all that is random comes from.") var seed: UInt64

    @Option(help: "How the agent fills in the fields.") var dialect: Semantics

    @Option(help: "What the traced program does.") var scenario: Scenario = .standard

    @Option(help: "The file for the encoded batches.") var out: String

    @Option(help: "The file for the truth, as JSON.") var truth: String

    @Option(help: "When the run starts, in seconds since the epoch.") var start: Int64?

    @Flag(help: "Send names of processes and threads; only the dialect cumulative has them.")
    var names = false

    func run() throws {
        var options = EmulatedRun.Options(seed: seed, dialect: dialect, scenario: scenario)
        options.start = start ?? options.start
        options.sendsNames = names
        let run = EmulatedRun(options)
        var bytes: [UInt8] = []
        for batch in run.batches {
            withUnsafeBytes(of: UInt32(batch.count).littleEndian) { bytes += $0 }
            bytes += batch
        }
        try Data(bytes).write(to: URL(fileURLWithPath: out))
        try Data(run.truth.json().utf8).write(to: URL(fileURLWithPath: truth))
    }
}

extension Semantics: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }
}

extension Scenario: ExpressibleByArgument {}
