import Compression
import Glibc
import SystemIO
package import TraceFiles
import TraceModel

/// Runs `tracectl trace`: writes the events of all resources as one Chrome trace.
package struct TraceRun {
    private let dataDirectory: String
    private let selection: CombinedTraceSelection

    package init(dataDirectory: String, selection: CombinedTraceSelection) {
        self.dataDirectory = dataDirectory
        self.selection = selection
    }

    /// Writes the trace to standard output. Blocks.
    /// - Returns: What the trace contains; nil if the reader has closed the pipe, which is no error.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    package func run() throws -> CombinedTraceReport? {
        try StandardOutput.checkHasOutput(dataDirectory)
        var report: CombinedTraceReport?
        try StandardOutput.streaming {
            report = try unsafe trace { try unsafe StandardOutput.write($0) }
        }
        return report
    }

    /// Writes the trace to a file, compressed if its name says so (`.gz`, `.zst`). The file has its name when it is whole;
    /// until then it is called `<path>.part`. Blocks.
    /// - Throws: `TraceError` where there is no such directory, a file is damaged, or the path is not that of a file.
    package func run(into path: String) throws -> CombinedTraceReport {
        try StandardOutput.checkHasOutput(dataDirectory)
        let output = try TraceOutput(path)
        do {
            let report = try unsafe trace { try unsafe output.write($0) }
            try output.finish()
            return report
        } catch {
            output.discard()
            throw error
        }
    }

    // MARK: Reports

    /// Formats a report as a JSON object.
    package static func json(_ report: CombinedTraceReport) -> String {
        var text = RawBuffer()
        text.append("{\"bytes\":\(report.bytes),")
        report.appendMembers(to: &text)
        text.append("}")
        return unsafe String(decoding: text.bytes, as: UTF8.self)
    }

    /// Formats a report as a line for people.
    package static func text(_ report: CombinedTraceReport) -> String {
        let processes = "\(counted(report.processes, "process", "processes"))"
        return "\(list(report.written)) of \(processes), \(Report.grouped(report.bytes)) bytes"
    }

    /// Says what the limit has left out, and what helps.
    package static func leftOutText(_ report: CombinedTraceReport) -> String {
        "The limit is reached: \(list(report.leftOut)) are left out at the end. Raise --limit, narrow the time with --from"
            + " and --to, or name a host with --host or a process with --pid"
    }

    /// For example `1,200 events (function 1,000, cpu 200) and 3 anomalies`.
    private static func list(_ counts: CombinedTraceReport.Counts) -> String {
        let resources = Resource.allCases.filter { counts[$0] > 0 }.map {
            "\($0.name) \(Report.grouped(Int(clamping: counts[$0])))"
        }
        let events = counted(Int(clamping: counts.events), "event", "events")
        let anomalies = counted(Int(clamping: counts.anomalies), "anomaly", "anomalies")
        let parts = resources.isEmpty ? events : "\(events) (\(resources.joined(separator: ", ")))"
        return "\(parts) and \(anomalies)"
    }

    private static func counted(_ number: Int, _ one: String, _ many: String) -> String {
        "\(Report.grouped(number)) \(number == 1 ? one : many)"
    }

    private func trace(
        _ write: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws -> CombinedTraceReport {
        // Files of six resources are open at a time.
        _ = DescriptorLimit.raise(to: UInt(Resource.count * Limits.catFilesMax + 64))
        let windows = try WindowCatalog(root: dataDirectory).read().windows
        return try unsafe CombinedTrace(
            selection,
            windows: windows,
            root: dataDirectory,
            write: write
        ).run()
    }
}

/// A file that a trace is written to, perhaps compressed.
private final class TraceOutput {
    private let path: String
    private let temporary: String
    private let file: File
    private let compressor: CompressedWriter?
    private var offset = 0

    init(_ path: String) throws {
        self.path = FileSystem.realPath(path) ?? path
        var info = stat()
        if unsafe stat(path, &info) == 0, info.st_mode & S_IFMT != S_IFREG {
            throw TraceError(
                .invalidArgument,
                "\(path) is not a file",
                remedy: "Name a file, or leave --output out and redirect standard output"
            )
        }
        temporary = "\(self.path).part"
        compressor = try FileCompression(ofPath: path).map { try CompressedWriter($0) }
        file = try File(temporary, .replace, mode: 0o644)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard let compressor else { return try unsafe append(bytes) }
        try unsafe compressor.compress(bytes, isLast: false) { try unsafe append($0) }
    }

    private func append(_ bytes: UnsafeRawBufferPointer) throws {
        try unsafe file.write(bytes, at: offset)
        offset += bytes.count
    }

    func finish() throws {
        if let compressor {
            let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            try unsafe compressor.compress(nothing, isLast: true) { try unsafe append($0) }
        }
        try FileSystem.rename(temporary, to: path)
    }

    func discard() { try? FileSystem.remove(temporary) }
}
