import HTTPServing
import SystemIO
package import TraceModel

/// The files of the console's pages, read once at the start.
package struct ConsolePages: Sendable {
    /// One file.
    struct File: Sendable {
        let contentType: String
        let bytes: [UInt8]
        /// A digest of the content, in quotes (RFC 9110, 8.8.3).
        let tag: String
    }

    private static let types = [
        "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "json": "application/json",
        "svg": "image/svg+xml",
    ]
    /// Where Debian's packages libjs-dygraphs and libjs-d3 put what the pages draw with. Without them pages have tables.
    private static let libraries = "/usr/share/javascript"
    private static let libraryFiles = [
        "dygraphs/dygraph.min.js", "dygraphs/dygraph.min.css", "d3/d3.min.js",
    ]
    static let description = "openapi.json"

    private var files: [String: File] = [:]

    /// Reads all files of a directory whose kind is known, and the libraries that are installed.
    /// - Throws: `TraceError(.configuration)` if the console's pages are not there.
    package init(directory: String) throws(TraceError) {
        do throws(SystemError) {
            let names = try FileSystem.list(directory).prefix(Limits.consolePagesMax)
            for name in names where !name.hasPrefix(".") {
                files[name] = try Self.file("\(directory)/\(name)")
            }
            for name in Self.libraryFiles {
                files["lib/\(name)"] = try Self.file("\(Self.libraries)/\(name)")
            }
        } catch { throw Self.missing(directory, error) }
        guard files["index.html"] != nil, files[Self.description] != nil else {
            throw Self.missing(directory, nil)
        }
    }

    /// Reads a file; nil if it is not there, too large, or of an unknown kind.
    private static func file(_ path: String) throws(SystemError) -> File? {
        guard let dot = path.lastIndex(of: "."),
            let type = types[String(path[path.index(after: dot)...])],
            (FileSystem.size(path) ?? .max) <= Limits.consolePageBytesMax
        else { return nil }
        let bytes = try FileSystem.contents(path)
        let sum = unsafe bytes.withUnsafeBytes { unsafe Checksum.crc32c($0) }
        let tag = "\"\(String(sum, radix: 16))-\(bytes.count)\""
        return File(contentType: type, bytes: bytes, tag: tag)
    }

    /// Finds the directory of the pages for a program that has been installed or built: `../share/trace-console` beside
    /// the program's directory, else `deploy/console` in one of the directories above it. Nil if there is none.
    package static func directory(ofProgram program: String) -> String? {
        var above = FileSystem.parent(of: program)
        let installed = "\(FileSystem.parent(of: above))/share/trace-console"
        if FileSystem.exists("\(installed)/index.html") { return installed }
        for _ in 0..<4 {
            above = FileSystem.parent(of: above)
            let source = "\(above)/deploy/console"
            if FileSystem.exists("\(source)/index.html") { return source }
        }
        return nil
    }

    /// Returns the file that a path of the site shows; nil if there is none.
    subscript(path: String) -> File? {
        switch path {
        case "/": files["index.html"]
        case "/moment", "/compare", "/anomalies", "/files":
            files["\(path.dropFirst()).html"]
        default: files[String(path.dropFirst())]
        }
    }

    private static func missing(_ directory: String, _ cause: (any Error)?) -> TraceError {
        TraceError(
            .configuration,
            "the console's pages are not in \(directory)",
            remedy: "Name the project's directory deploy/console with --pages",
            cause: cause
        )
    }
}
