import Foundation
import FoundationNetworking
import Glibc
import Testing

/// Runs the built `trace-aggregator` as a process with a data directory.
final class AggregatorProcess {
    private let process = Process()
    private let errors = Pipe()
    /// `127.0.0.1:<port>` once it serves pages.
    private(set) var address = ""
    private(set) var log = ""

    /// Starts the process and returns once it serves pages or has ended.
    init(data: String, metrics: String = "127.0.0.1:0") throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        process.executableURL = URL(fileURLWithPath: tests).deletingLastPathComponent()
            .appendingPathComponent(
                "trace-aggregator"
            )
        process.arguments = ["--data", data, "--metrics", metrics]
        process.standardError = errors
        try process.run()
        let mark = "serving"
        while !log.contains("\n") || !log.contains(mark) {
            let more = errors.fileHandleForReading.availableData
            if more.isEmpty { return }
            log += String(decoding: more, as: UTF8.self)
        }
        if let start = log.range(of: "address=") {
            address = String(log[start.upperBound...].prefix { !$0.isWhitespace })
        }
    }

    var pid: Int { Int(process.processIdentifier) }

    /// Ends the process, with SIGKILL if `isAtOnce`, and waits for its end.
    @discardableResult func end(kill isAtOnce: Bool = false) -> Int32 {
        if process.isRunning {
            if isAtOnce { kill(process.processIdentifier, SIGKILL) } else { process.terminate() }
        }
        process.waitUntilExit()
        return process.terminationStatus
    }

    func get(
        _ path: String,
        accept: String = "*/*"
    ) async throws -> (status: Int, type: String, body: Data) {
        let url = try #require(URL(string: "http://\(address)\(path)"))
        var request = URLRequest(url: url)
        request.setValue(accept, forHTTPHeaderField: "Accept")
        let (data, response) = try await URLSession.shared.data(for: request)
        let http = try #require(response as? HTTPURLResponse)
        return (http.statusCode, http.value(forHTTPHeaderField: "Content-Type") ?? "", data)
    }

    func text(_ path: String) async throws -> String {
        String(decoding: try await get(path).body, as: UTF8.self)
    }

    func status() async throws -> StatusObject {
        try JSONDecoder().decode(StatusObject.self, from: try await get("/status").body)
    }

    /// Sends the request unchanged and reads until the server closes the connection.
    func exchange(_ request: String) throws -> String {
        let port = try #require(UInt16(address.split(separator: ":").last ?? ""))
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = port.bigEndian
        target.sin_addr.s_addr = inet_addr("127.0.0.1")
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        let isConnected = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        try #require(isConnected)
        _ = request.withCString { Glibc.send(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
        // A reset may follow a response to a request that was not read to its end; the bytes received so far are
        // kept.
        var answer = ""
        while let more = try? handle.read(upToCount: 4_096), !more.isEmpty {
            answer += String(decoding: more, as: UTF8.self)
        }
        return answer
    }
}
