import Glibc
import SystemIO
package import TraceFiles
package import TraceModel

/// Standard output for commands that may write a lot.
enum StandardOutput {
    /// Runs `body`, in which a write may fail because the reader has closed the pipe; that is no error.
    /// - Throws: Any other error of `body`.
    static func streaming(_ body: () throws -> Void) throws {
        // With SIGPIPE ignored, a closed reader is reported as EPIPE.
        signal(SIGPIPE, SIG_IGN)
        do { try body() } catch let error as SystemError where error.errno == EPIPE { return }
    }

    /// Writes all of the bytes. Blocks.
    static func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = unsafe bytes
        while unsafe !rest.isEmpty {
            let count = unsafe Glibc.write(STDOUT_FILENO, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                throw SystemError(errno: errno, call: "write", subject: "standard output")
            }
            unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Waits for so many milliseconds, or until the reader closes the pipe; returns whether it has.
    static func isClosed(within milliseconds: Int32) -> Bool {
        var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return unsafe poll(&output, 1, milliseconds) > 0
    }

    /// Checks that a data directory has final files.
    /// - Throws: `TraceError` where it has no directory for them.
    static func checkHasOutput(_ dataDirectory: String) throws(TraceError) {
        guard FileSystem.exists("\(dataDirectory)/\(ClusterPaths.output)") else {
            throw TraceError(
                .notFound,
                "There are no final files below \(dataDirectory)",
                remedy: "Name the cluster's data directory with --data"
            )
        }
    }
}

/// Streams final files to standard output.
package struct CatRun {
    /// The form of the output.
    package enum Format: String, CaseIterable, Sendable {
        case json
        case csv
    }

    private let dataDirectory: String
    private let selection: TraceSelection
    private let format: Format
    private let columns: CSVColumns

    /// - Parameter columns: The columns of a CSV table.
    package init(
        dataDirectory: String,
        selection: TraceSelection,
        format: Format,
        columns: CSVColumns = .all
    ) {
        self.dataDirectory = dataDirectory
        self.selection = selection
        self.format = format
        self.columns = columns
    }

    /// Writes everything. Blocks. A closed reader is no error.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    package func run() throws {
        try StandardOutput.checkHasOutput(dataDirectory)
        try StandardOutput.streaming {
            let reader = unsafe TraceFileReader(selection, root: dataDirectory) {
                try unsafe StandardOutput.write($0)
            }
            switch format {
            case .json: try reader.writeJSON()
            case .csv: try reader.writeCSV(columns)
            }
        }
    }
}
