import ArgumentParser
import ClusterConfiguration
import Foundation
import OperatorTools
import TraceModel

/// `tracectl mirror`.
struct MirrorCommand: ParsableCommand {
    /// Time from the end of one update to the next.
    private static let intervalSeconds = 10.0

    static let configuration = CommandConfiguration(
        commandName: "mirror",
        abstract:
            "Keeps the newest results of an object store in a directory, for a console over all clusters.",
        discussion: """
            The directory then has the form of a cluster's data directory: trace-console and all commands that read \
            results take it as --data. It holds the newest windows of which all files fit into --keep bytes; older \
            ones are removed from it, and nothing is changed in the store. A new directory is needed.

              tracectl mirror --data /srv/all --object-store s3://traces/production --keep 50G --follow &
              trace-console --data /srv/all --console 127.0.0.1:9090

            Charts of the present, and windows that are not final, are with each cluster's own console.

            The store is reached as by the cluster that uploaded (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, \
            AWS_SECRET_ACCESS_KEY, or the shared files of the AWS tools).
            """
    )

    @Option(name: .customLong("data"), help: ArgumentHelp("The directory.", valueName: "dir"))
    var directory: String

    @Option(help: ArgumentHelp("The object store.", valueName: "s3://bucket/prefix"))
    var objectStore: String

    @Option(help: ArgumentHelp("The cell to take, or all.", valueName: "name"))
    var cell = StoredResults.allCells

    @Option(
        help: ArgumentHelp("At most so many bytes of files; K, M, G are units.", valueName: "bytes")
    )
    var keep = ByteCount(bytes: 10 << 30)

    @Flag(help: "Go on with further windows, until it is ended.") var follow = false

    func validate() throws {
        guard ObjectStoreAddress(objectStore) != nil else {
            throw ValidationError("--object-store takes s3://BUCKET/PREFIX, not \(objectStore)")
        }
    }

    func run() throws {
        guard let address = ObjectStoreAddress(objectStore) else { throw ExitCode(2) }
        let mirror = try ResultMirror(
            StoredResults(address, cell: cell),
            directory: directory,
            bytesMax: keep.bytes
        )
        guard follow else { return show(try mirror.update()) }
        var said = ""
        while true {
            do {
                let changes = try mirror.update()
                if changes.added > 0 || changes.removed > 0 || !said.isEmpty { show(changes) }
                said = ""
            } catch {
                // The same reason once.
                if "\(error)" != said { Terminal.error.line("tracectl: \(error)") }
                said = "\(error)"
            }
            Thread.sleep(forTimeInterval: Self.intervalSeconds)
        }
    }

    private func show(_ changes: ResultMirror.Changes) {
        let older = changes.leftOut == 0 ? "" : "; \(changes.leftOut) older ones are left out"
        Terminal.output.line(
            "\(changes.added) windows downloaded, \(changes.removed) removed\(older)"
        )
    }
}
