import Foundation

/// Runs `Tests/EndToEnd/check_trace.py`, which knows the rules of trace viewers.
enum ContractTraceCheck {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "EndToEnd/check_trace.py").path

    /// What the checker finds wrong with the traces; nil where it is content.
    static func problems(in traces: [String]) throws -> String? {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", script] + traces
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? nil : String(decoding: data, as: UTF8.self)
    }
}
