import Compression
import Foundation
import TraceModel

@testable import TraceFiles

/// A data directory with traces as windows leave them.
final class PublishedTraces {
    let directory: TemporaryDirectory
    private let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = "\(directory.path)/output/json"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func add(
        _ resource: Resource,
        window: Int = 1,
        host: String = "a",
        _ events: [String],
        names: [String] = [],
        isCompressed: Bool = false,
        stem: String? = nil,
        ending: String = "\n]}\n"
    ) throws {
        let head = """
            {"displayTimeUnit":"ms","metadata":{"resource":"\(resource.name)","host":"\(host)",\
            "stem":"1","window":\(window)},"traceEvents":[
            """
        let text = head + "\n" + (events + names).joined(separator: ",\n") + ending
        let file = file(resource, stem: stem ?? "\(1_000 + window)", host: host)
        let data = Data(text.utf8)
        guard isCompressed else { return try data.write(to: URL(filePath: file)) }
        let packed = try data.withUnsafeBytes { try Gzip.compress($0) }
        try Data(packed).write(to: URL(filePath: file + ".gz"))
    }

    func remove(_ resource: Resource, window: Int) throws {
        try FileManager.default.removeItem(
            atPath: file(resource, stem: "\(1_000 + window)", host: "a")
        )
    }

    private func file(_ resource: Resource, stem: String, host: String) -> String {
        "\(path)/\(resource.name)_trace_\(stem)_\(host).json"
    }
}
