import Glibc
import HTTPServing
import HTTPTypes
import Synchronization
import SystemIO
import TraceModel

/// A final file that was opened to be sent.
final class OpenFile: Sendable {
    let name: String
    let size: Int
    /// Identifies the file and its content: no final file is changed or replaced.
    let tag: String
    private let file: SystemIO.File

    /// Opens `ROOT/KIND/NAME`; nil if there is no such file. Hidden names, links, and what is no plain file count as
    /// missing. Blocks.
    /// - Parameter depth: How many parts the path has.
    init?(
        _ path: String,
        root: String = ClusterPaths.output,
        depth: ClosedRange<Int> = 2...2
    ) throws {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard depth.contains(parts.count), parts.allSatisfy(Self.isSafe) else { return nil }
        let full = "\(root)/\(path)"
        var info = stat()
        guard unsafe lstat(full, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
        do throws(SystemError) { file = try SystemIO.File(full, .read) } catch {
            if error.isNotFound { return nil }
            throw error
        }
        var opened = stat()
        guard unsafe fstat(file.descriptor, &opened) == 0, opened.st_ino == info.st_ino else {
            return nil
        }
        name = String(parts[parts.count - 1])
        size = Int(opened.st_size)
        let words = [
            UInt64(opened.st_ino), UInt64(size), UInt64(opened.st_mtim.tv_sec),
            UInt64(opened.st_mtim.tv_nsec),
        ]
        tag = "\"\(words.map { String($0, radix: 16) }.joined(separator: "-"))\""
    }

    /// Whether the text names an entry of a directory, and no hidden one.
    private static func isSafe(_ part: Substring) -> Bool {
        !part.isEmpty && part.utf8.count <= 255 && !part.hasPrefix(".") && !part.utf8.contains(0)
    }

    /// Reads bytes of the file, fewer at its end. Blocks.
    func read(at offset: Int, _ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = try unsafe bytes.withUnsafeMutableBytes {
            try unsafe file.read(into: $0, at: offset)
        }
        bytes.removeLast(count - read)
        return bytes
    }

    var contentType: String {
        let types = [
            ".json": "application/json", ".jsonl": "application/x-ndjson",
            ".csv": "text/csv; charset=utf-8", ".txt": "text/plain; charset=utf-8",
            ".folded": "text/plain; charset=utf-8", ".gz": "application/gzip",
            ".zst": "application/zstd",
        ]
        let suffix = name.lastIndex(of: ".").map { String(name[$0...]) } ?? ""
        return types[suffix] ?? "application/octet-stream"
    }
}

/// Replies with final files: whole or in part, or that the client has them already.
struct FileDelivery: Sendable {
    private let threads: QueryThreads

    /// - Parameter threads: Those that read files.
    init(_ threads: QueryThreads) { self.threads = threads }

    /// Returns the reply; nil if there is no such file.
    func reply(_ path: String, _ request: HTTPFields) async throws -> HTTPReply? {
        guard let file = try await threads.run({ try OpenFile(path) }) else { return nil }
        var headers: HTTPFields = [
            .contentType: file.contentType, .eTag: file.tag, .acceptRanges: "bytes",
            .cacheControl: "private, no-cache",
        ]
        if let name = Self.attachment(file.name) { headers[.contentDisposition] = name }
        if Self.lists(request[.ifNoneMatch], file.tag) {
            return HTTPReply(status: .notModified, headers: headers, body: SharedBody([]))
        }
        // A range of another content than the client has would be of no use.
        let isSame = request[.ifRange].map { $0 == file.tag } ?? true
        switch ByteRange(isSame ? request[.range] : nil, size: file.size) {
        case .whole:
            return HTTPReply(status: .ok, headers: headers, stream: stream(file, 0..<file.size))
        case .part(let range):
            headers[.contentRange] =
                "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(file.size)"
            return HTTPReply(
                status: .partialContent,
                headers: headers,
                stream: stream(file, range)
            )
        case .unsatisfiable:
            headers[.contentRange] = "bytes */\(file.size)"
            headers[.contentType] = "text/plain; charset=utf-8"
            headers[.contentDisposition] = nil
            let text = "The file has \(file.size) bytes.\n"
            return HTTPReply(
                status: .rangeNotSatisfiable,
                headers: headers,
                body: SharedBody(text.utf8)
            )
        }
    }

    /// Opens a file of a directory with pages; nil if there is no such file.
    func open(_ path: String, below root: String) async throws -> OpenFile? {
        try await threads.run { try OpenFile(path, root: root, depth: 1...3) }
    }

    /// Returns bytes of a file as they are read.
    func stream(_ file: OpenFile, _ range: Range<Int>) -> HTTPStream {
        let threads = threads
        let position = FilePosition(range)
        return HTTPStream(bytes: range.count) {
            let next = position.take(Limits.consoleReadBytes)
            return try await threads.run { try file.read(at: next.lowerBound, next.count) }
        }
    }

    /// Returns the header that makes a browser save the file under its name. Names of final files have only
    /// characters that need no quoting; others get none.
    private static func attachment(_ name: String) -> String? {
        let isPlain = name.utf8.allSatisfy {
            (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
        }
        return isPlain ? "attachment; filename=\"\(name)\"" : "attachment"
    }

    /// Whether a list of tags contains this one, or is a star (RFC 9110, 13.1.2).
    static func lists(_ header: String?, _ tag: String) -> Bool {
        guard let header else { return false }
        return header.split(separator: ",").contains { item in
            var item = item.drop { $0 == " " || $0 == "\t" }
            while let last = item.last, last == " " || last == "\t" { item.removeLast() }
            if item.hasPrefix("W/") { item = item.dropFirst(2) }
            return item == "*" || item == tag
        }
    }
}

/// What is still to be read of a file that is being sent.
private final class FilePosition: Sendable {
    private let rest: Mutex<Range<Int>>

    init(_ range: Range<Int>) { rest = Mutex(range) }

    /// Takes the next bytes, at most `count`.
    func take(_ count: Int) -> Range<Int> {
        rest.withLock { rest in
            let end = min(rest.upperBound, rest.lowerBound + count)
            defer { rest = end..<rest.upperBound }
            return rest.lowerBound..<end
        }
    }
}
