import Foundation

/// The conformance checker.
enum TraceCheck {
    /// Beside the package, or beside the directory that contains several checkouts of it.
    static let script: String = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let candidates = ["..", "../.."].map {
            package.appending(path: "\($0)/shared/conformance/check_trace.py").standardizedFileURL.path
        }
        return candidates.first { FileManager.default.fileExists(atPath: $0) } ?? candidates[0]
    }()

    static var isThere: Bool { FileManager.default.fileExists(atPath: script) }

    /// Returns the exit code and the output of the checker.
    static func run(_ arguments: [String]) throws -> (code: Int32, output: String) { try python([script] + arguments) }

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
