import Foundation
import Glibc
import SystemIO
import TraceModel

/// Sends commands to a running HAProxy, by its runtime socket.
///
/// They are "Unix Socket commands" of https://docs.haproxy.org/2.6/management.html, and lose no connection and no call.
package struct EdgeControl {
    private static let timeoutSeconds = 5
    private static let answerBytesMax = 1 << 20

    private let dataDirectory: String

    package init(dataDirectory: String) { self.dataDirectory = dataDirectory }

    /// Whether HAProxy takes commands, and so connections. Blocks.
    var isUp: Bool { (try? command("show info")) != nil }

    /// Reads the operator's files anew and has HAProxy use them. Returns a line about each. Where a file is wrong, nothing
    /// is changed by it, nor by those after it. Blocks.
    /// - Throws: `TraceError` that names the file, or HAProxy's reason.
    package func reload() throws -> [String] {
        guard
            let sources = try? FileSystem.contents("\(dataDirectory)/\(ClusterPaths.edgeSources)")
        else {
            throw TraceError(
                .unreachable,
                "no HAProxy runs in \(dataDirectory)",
                remedy: "Name the data directory of a running cluster with --data"
            )
        }
        let files = EdgeFiles(parsing: String(decoding: sources, as: UTF8.self))
        var lines: [String] = []
        let changed = try files.copies().filter { copy in
            // Tokens are replaced each time: that is cheap, and shows that HAProxy answers.
            copy.path == ClusterPaths.edgeTokens
                || (try? FileSystem.contents("\(dataDirectory)/\(copy.path)"))
                    != Array(copy.text.utf8)
        }
        for copy in changed {
            switch copy.path {
            case ClusterPaths.edgeTokens:
                try replaceMap(copy)
                lines.append("tokens: \(files.tokens ?? "")")
            case ClusterPaths.edgeClientCA: continue
            default:
                try replaceCertificate(copy)
                lines.append(
                    "certificate: \(files.certificate ?? "")"
                        + (try expiry().map { ", \($0.text)" } ?? "")
                )
            }
            try FileSystem.publish("\(dataDirectory)/\(copy.path)", text: copy.text)
        }
        guard changed.contains(where: { $0.path == ClusterPaths.edgeClientCA }) else {
            return lines
        }
        // By `commit ssl ca-file`, HAProxy 2.6.12 ends with SIGSEGV if its certificate was replaced before, and shows the old
        // certificate to clients without SNI from then on.
        throw TraceError(
            .configuration,
            "HAProxy takes other authorities of clients (\(files.clientCA ?? "")) at its start only; the other files are reloaded",
            remedy: "Restart it: scripts/cluster restart edge"
        )
    }

    private func replaceCertificate(_ copy: EdgeFiles.Copy) throws {
        let answer = try command("set ssl cert \(copy.path) <<\n\(copy.text)")
        guard answer.lowercased().contains("transaction created") else {
            throw TraceError(.configuration, "HAProxy refuses \(copy.path): \(answer)")
        }
        let result = try command("commit ssl cert \(copy.path)")
        guard result.contains("Success!") else {
            _ = try? command("abort ssl cert \(copy.path)")
            throw TraceError(.configuration, "HAProxy refuses \(copy.path): \(result)")
        }
    }

    /// Replaces the tokens at once: calls see the old ones or the new ones.
    private func replaceMap(_ copy: EdgeFiles.Copy) throws {
        let created = try command("prepare map \(copy.path)")
        guard let version = created.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw TraceError(.system, "HAProxy: \(created)")
        }
        let entries = copy.text.split(separator: "\n")
        for start in stride(from: 0, to: entries.count, by: 100) {
            let some = entries[start..<min(start + 100, entries.count)].joined(separator: "\n")
            let answer = try command("add map @\(version) \(copy.path) <<\n\(some)\n")
            guard answer.isEmpty else { throw TraceError(.system, "HAProxy: \(answer)") }
        }
        let answer = try command("commit map @\(version) \(copy.path)")
        guard answer.isEmpty else { throw TraceError(.system, "HAProxy: \(answer)") }
    }

    // MARK: The certificate

    /// When the server's certificate expires.
    struct Expiry {
        let date: String
        let secondsLeft: Double

        var text: String {
            secondsLeft > 0 ? "valid until \(date)" : "which has expired: \(date)"
        }
    }

    /// Asks HAProxy when its certificate expires; nil where it has none. Blocks.
    func expiry() throws -> Expiry? {
        let answer = try command("show ssl cert \(ClusterPaths.edgeCertificate)")
        guard let line = answer.split(separator: "\n").first(where: { $0.hasPrefix("notAfter: ") })
        else { return nil }
        let text = line.dropFirst("notAfter: ".count)
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "MMM d HH:mm:ss yyyy zzz"
        let words = text.split(separator: " ").joined(separator: " ")
        guard let date = formatter.date(from: words) else { return nil }
        return Expiry(date: words, secondsLeft: date.timeIntervalSinceNow)
    }

    // MARK: The socket

    /// Sends a command, and returns the answer without the blank lines around it. Blocks.
    private func command(_ text: String) throws -> String {
        let descriptor = try LocalSocket.connect(
            to: ClusterPaths.edgeSocket,
            in: dataDirectory,
            timeoutSeconds: Self.timeoutSeconds
        )
        defer { close(descriptor) }
        var rest = Array("\(text)\n".utf8)[...]
        while !rest.isEmpty {
            let count = try systemCall("send", ClusterPaths.edgeSocket) {
                unsafe rest.withUnsafeBytes {
                    unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
            }
            rest = rest.dropFirst(count)
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while answer.count < Self.answerBytesMax {
            let count = try systemCall("recv", ClusterPaths.edgeSocket) {
                unsafe recv(descriptor, &chunk, chunk.count, 0)
            }
            if count == 0 { break }
            answer.append(contentsOf: chunk.prefix(count))
        }
        return String(decoding: answer, as: UTF8.self).trimmingCharacters(
            in: .whitespacesAndNewlines
        )
    }
}
