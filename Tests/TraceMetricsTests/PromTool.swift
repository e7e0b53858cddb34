import Foundation

/// Prometheus's own checker, if it is installed.
enum PromTool {
    /// On the `PATH`, or where `scripts/test` unpacks it.
    private static let path: String? = {
        let package = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent()
        let tools = package.appending(path: ".build/tools/usr/bin").path
        let path = "\(ProcessInfo.processInfo.environment["PATH"] ?? ""):\(tools)"
        return path.split(separator: ":").map { "\($0)/promtool" }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }()

    static var isInstalled: Bool { path != nil }

    /// The complaints about a page; empty if there are none.
    static func check(_ page: [UInt8]) throws -> String {
        guard let path else { return "" }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["check", "metrics"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(page))
        try input.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: said, as: UTF8.self)
    }
}
