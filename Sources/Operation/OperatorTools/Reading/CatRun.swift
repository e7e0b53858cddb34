package import TraceFiles
package import TraceModel

/// Streams final files to standard output.
package struct CatRun {
    package enum Format: String, CaseIterable, Sendable {
        case json
        case csv
    }

    private let dataDirectory: String
    private let selection: TraceSelection
    private let format: Format
    private let columns: CSVColumns

    /// `columns`: of a table.
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
            case .csv: try reader.writeCSV(columns)
            }
        }
    }
}
