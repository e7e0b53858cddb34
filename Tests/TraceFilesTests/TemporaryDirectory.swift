import Foundation

/// A data directory for one test, removed with the object.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "trace-files-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The contents of all files under `directory`, by relative path.
    func files(below directory: String) throws -> [String: Data] {
        var result: [String: Data] = [:]
        let root = "\(path)/\(directory)"
        guard let names = FileManager.default.enumerator(atPath: root) else { return result }
        for case let name as String in names {
            var isDirectory: ObjCBool = false
            let path = "\(root)/\(name)"
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
                !isDirectory.boolValue
            else {
                continue
            }
            result[name] = try Data(contentsOf: URL(fileURLWithPath: path))
        }
        return result
    }
}
