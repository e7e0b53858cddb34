import ArgumentParser
import TraceModel

@main
struct TraceBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace-bench",
        abstract:
            "Measures a running cluster: throughput, ack latency, CPU, memory, bytes written.",
        discussion: """
            Sends what agents send, through gRPC's C core, and in turn with it loads a server that does \
            nothing but answer, and times the disk: each figure stands beside what the machine allows in \
            the same minutes. scripts/bench starts a cluster of its own for it.

              trace-bench run --data data
              trace-bench run --data data --mix mixed --batch 100 --rate 200000
              trace-bench run --data data --batch 500 --streams 2 --in-flight 32 --json
              trace-bench standard --data data
              trace-bench stages
            """,
        version: BuildInfo.version,
        subcommands: [
            RunCommand.self, StandardCommand.self, StagesCommand.self, KeysCommand.self,
            FloorCommand.self,
        ]
    )
}
