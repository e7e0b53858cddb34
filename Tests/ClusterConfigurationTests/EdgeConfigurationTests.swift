import Foundation
import TestSupport
import Testing

@testable import ClusterConfiguration

/// Every golden file is one that `haproxy -c` accepts; `Tests/EndToEnd/test_edge.py` runs them.
struct EdgeConfigurationTests {
    static let full = EdgeConfiguration(
        grpc: "0.0.0.0:50051",
        metrics: "0.0.0.0:9091",
        console: "[::1]:9090",
        plain: "10.0.0.5:50052",
        usesTLS: true,
        checksClients: true,
        usesTokens: true,
        trustedProxies: ["10.0.0.1", "10.1.0.0/16"],
        threads: 2
    )
    static let plain = EdgeConfiguration(grpc: "127.0.0.1:50051", metrics: "127.0.0.1:9091")

    static let cells = EdgeConfiguration(
        grpc: "0.0.0.0:50051",
        usesTLS: true,
        checksClients: true,
        usesTokens: true,
        threads: 4,
        cells: ["10.0.0.11:50051", "10.0.0.12:50051", "10.0.0.13:50051"]
    )

    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Golden")

    @Test(arguments: [("edge-full.cfg", full), ("edge-plain.cfg", plain)])
    func theTextIsThatOfTheGoldenFile(name: String, configuration: EdgeConfiguration) throws {
        let file = Self.directory.appendingPathComponent(name)
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil {
            try configuration.text.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == configuration.text)
    }

    /// What is deployed by hand is what the tools make.
    @Test func theDeployedExampleIsThatOfThreeCells() throws {
        let file = Self.directory.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("deploy/haproxy/cells.cfg")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil {
            try Self.cells.text.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == Self.cells.text)
    }

    @Test(arguments: [full, plain, cells]) func haproxyTakesIt(
        _ configuration: EdgeConfiguration
    ) throws {
        guard let program = EdgeProgram.path else { return }
        let directory = try TemporaryDirectory()
        let run = URL(fileURLWithPath: directory.path).appendingPathComponent("run")
        try FileManager.default.createDirectory(at: run, withIntermediateDirectories: true)
        func write(_ text: String, _ name: String) throws {
            try text.write(to: run.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }
        try write(configuration.text, "edge.cfg")
        try write("\(String(repeating: "0", count: 64)) ingest\n", "edge.tokens")
        let made = try Self.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj", "/CN=localhost", "-keyout", "run/key.pem", "-out", "run/edge-ca.pem",
            ],
            in: directory.path
        )
        #expect(made.code == 0, "\(made.text)")
        let parts = try ["edge-ca.pem", "key.pem"].map {
            try String(contentsOf: run.appendingPathComponent($0), encoding: .utf8)
        }
        try write(parts.joined(), "edge.pem")
        let checked = try Self.run(program, ["-c", "-f", "run/edge.cfg"], in: directory.path)
        #expect(checked.code == 0 && !checked.text.contains("WARNING"), "\(checked.text)")
    }

    private static func run(
        _ program: String,
        _ arguments: [String],
        in directory: String
    ) throws -> (code: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        let said = Pipe()
        process.standardError = said
        process.standardOutput = said
        try process.run()
        let text = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    @Test func withoutTokensAndCertificatesNothingAsksForThem() {
        let text = Self.plain.text
        for word in [
            "ssl", "http_auth", "ssl_c", "expect-proxy", "frontend plain", "frontend console",
        ] {
            #expect(!text.replacing("ssl_fc", with: "").contains("\(word) "), "\(word)")
        }
    }

    /// The plain frontend asks for nothing, even where the other does.
    @Test func thePlainAddressAsksForNothing() throws {
        let sections = Self.full.text.components(separatedBy: "\nfrontend ")
        let plain = try #require(sections.first { $0.hasPrefix("plain\n") })
        #expect(!plain.contains("ssl") && !plain.contains("http_auth"))
        #expect(plain.contains("bind 10.0.0.5:50052 proto h2"))
    }
}

struct TokenFileTests {
    private static let digest = String(repeating: "Ab", count: 32)

    @Test func linesAreScopeAndDigest() throws {
        let file = try TokenFile(
            "# agents\n\n ingest \(Self.digest)  of the test machines\nread \(String(repeating: "0", count: 64))\n",
            file: "tokens"
        )
        #expect(
            file.map
                == "\(Self.digest.lowercased()) ingest\n\(String(repeating: "0", count: 64)) read\n"
        )
    }

    @Test(arguments: [
        ("", "tokens has no token"), ("# only a remark\n", "tokens has no token"),
        ("write \(digest)", "tokens:1: a line begins with one of ingest, read, admin"),
        ("\ningest", "tokens:2: behind the scope"),
        ("ingest \(digest)0", "tokens:1: behind the scope"),
        ("ingest secret", "tokens:1: behind the scope"),
        ("ingest \(digest)\nread \(digest.lowercased())", "tokens:2: the token stands there twice"),
    ])
    func whatIsWrongIsNamedWithoutTheToken(text: String, problem: String) throws {
        let error = #expect(throws: TraceErrorText.self) {
            do { _ = try TokenFile(text, file: "tokens") } catch {
                throw TraceErrorText("\(error)")
            }
        }
        let said = try #require(error).text
        #expect(said.hasPrefix(problem), "\(said)")
        #expect(!said.contains("secret"))
    }
}

/// An error's description.
private struct TraceErrorText: Error {
    let text: String

    init(_ text: String) { self.text = text }
}
