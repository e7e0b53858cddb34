import Glibc
import SystemIO
package import TraceFiles
import TraceModel

/// Streams final files to standard output.
package struct CatRun {
    package enum Format: String, CaseIterable, Sendable {
        case json
        case csv
    }

    private let dataDirectory: String
    private let selection: TraceSelection
    private let format: Format

    package init(dataDirectory: String, selection: TraceSelection, format: Format) {
        self.dataDirectory = dataDirectory
        self.selection = selection
        self.format = format
    }

    /// Blocks until everything is written, or the reader is gone, which is no error.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    package func run() throws {
        guard FileSystem.exists("\(dataDirectory)/\(ClusterPaths.output)") else {
            throw TraceError(
                .notFound,
                "There are no final files below \(dataDirectory)",
                remedy: "Name the cluster's data directory with --data"
            )
        }
        // A reader that is gone shows as EPIPE.
        signal(SIGPIPE, SIG_IGN)
        let reader = TraceFileReader(selection, root: dataDirectory) { try Self.write($0) }
        do {
            switch format {
            case .json: try reader.writeJSON()
            case .csv: try reader.writeCSV()
            }
        } catch let error as SystemError where error.errno == EPIPE {
            return
        }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(STDOUT_FILENO, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                throw SystemError(errno: errno, call: "write", subject: "standard output")
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }
}
