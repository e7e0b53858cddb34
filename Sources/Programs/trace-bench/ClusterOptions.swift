import ArgumentParser
import Glibc
import OperatorTools
import SystemIO
import TraceBench
import TraceModel
import TraceTime

/// Which cluster, and how to tell about it.
struct ClusterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where trace-router listens.", valueName: "addr:port"))
    var server = "127.0.0.1:50051"

    @Option(
        help: ArgumentHelp(
            "The cluster's data directory, on this machine; without it only acks are measured.",
            valueName: "dir"
        )
    )
    var data: String?

    @Option(
        help: "The zone of the timestamps sent: the cluster's. Default: TZ, else the machine's."
    )
    var timeZone: String?

    @Flag(help: "Print one JSON object at the end, and nothing else, on standard output.")
    var json = false

    @Option(help: ArgumentHelp("Write the JSON object to a file besides.", valueName: "file"))
    var save: String?

    /// The caller closes it.
    func makeBench() throws -> Bench {
        SignalReceiver.blockAll()
        let zone = try TimeZoneRules.configure(timeZone)
        let bench = try Bench(
            server: server,
            dataDirectory: try data.map(Self.absolute),
            program: "/proc/self/exe",
            zone: zone
        )
        bench.onProgress = { Terminal.error.line("trace-bench: \($0)") }
        return bench
    }

    func show(_ reports: [LoadReport]) throws {
        let object = try Report.json(reports)
        if let save {
            let bytes = Array("\(object)\n".utf8)
            let file = try File(save, .replace)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
        Terminal.output.line(json ? object : ReportTable(reports).text)
    }

    private static func absolute(_ path: String) throws -> String {
        guard let resolved = realpath(path, nil) else {
            throw TraceError(.notFound, "there is no directory \(path)")
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
