import Foundation

/// The conformance checker that lies beside the package in a full checkout.
enum ContractTraceCheck {
    /// Beside the package, or beside what holds several checkouts of it.
    private static let script: String? = {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return ["..", "../.."].map {
            package.appending(path: "\($0)/shared/conformance/check_trace.py").standardizedFileURL.path
        }.first { FileManager.default.fileExists(atPath: $0) }
    }()

    static var isThere: Bool { script != nil }

    /// What the checker finds wrong with the traces; nil where it is content.
    static func problems(in traces: [String]) throws -> String? {
        guard let script else { return "no checker" }
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
