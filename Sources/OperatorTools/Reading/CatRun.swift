package import TraceFiles

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
        try StandardOutput.checkHasOutput(dataDirectory)
        try StandardOutput.streaming {
            let reader = TraceFileReader(selection, root: dataDirectory) {
                try StandardOutput.write($0)
            }
            switch format {
            case .json: try reader.writeJSON()
            case .csv: try reader.writeCSV()
            }
        }
    }
}
