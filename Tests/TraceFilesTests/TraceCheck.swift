import Foundation

/// Runs `Tests/EndToEnd/check_trace.py`, which knows the rules of trace viewers.
enum TraceCheck {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "EndToEnd/check_trace.py").path

    /// Returns the exit code and the output of the checker.
    static func run(_ arguments: [String]) throws -> (code: Int32, output: String) {
        try python([script] + arguments)
    }

    static func python(_ arguments: [String]) throws -> (code: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
