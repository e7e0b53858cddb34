import Foundation
import TraceModel

/// The final files of one window, as their readers see them.
struct ContractOutput {
    let files: [String: Data]
    private let root: String

    init(_ paths: [String], root: String) throws {
        self.root = root
        var files: [String: Data] = [:]
        for path in paths { files[path] = try Data(contentsOf: URL(filePath: "\(root)/\(path)")) }
        self.files = files
    }

    /// The traces' paths, absolute.
    var traces: [String] {
        files.keys.filter { $0.hasPrefix("output/json/") }.sorted().map { "\(root)/\($0)" }
    }

    /// All events of all traces.
    func events() throws -> [[String: Any]] {
        try files.sorted { $0.key < $1.key }.filter { $0.key.hasPrefix("output/json/") }.flatMap {
            _,
            data in
            let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
            return object?["traceEvents"] as? [[String: Any]] ?? []
        }
    }

    /// The events that stand for what was received.
    func records(_ resource: Resource) throws -> [[String: Any]] {
        try events().filter {
            $0["cat"] as? String == resource.name && ["B", "E", "i"].contains($0["ph"] as? String)
        }
    }

    /// The window's summary.
    func summary() throws -> [String: Any]? {
        try files.first { $0.key.hasPrefix("output/summary/") }.flatMap {
            try JSONSerialization.jsonObject(with: $0.value) as? [String: Any]
        }
    }

    func text(suffix: String) -> String? {
        files.first { $0.key.hasSuffix(suffix) }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    /// The rows of the table of events without the first one, by column.
    func rows() -> [[String: String]] {
        guard let text = files.first(where: { $0.key.hasPrefix("output/csv/") })?.value else {
            return []
        }
        var table = Self.table(String(decoding: text, as: UTF8.self))
        guard !table.isEmpty else { return [] }
        let columns = table.removeFirst()
        return table.map { row in
            var fields: [String: String] = [:]
            for (index, field) in row.enumerated() {
                fields[index < columns.count ? columns[index] : "beyond \(index)"] = field
            }
            return fields
        }
    }

    /// RFC 4180, read strictly: a quote inside an unquoted field shows in the field.
    static func table(_ text: String) -> [[String]] {
        var rows: [[String]] = []
        var row: [String] = []
        var field = String.UnicodeScalarView()
        var isQuoted = false
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\"" where isQuoted && rest.first == "\"": field.append(rest.removeFirst())
            case "\"" where isQuoted || field.isEmpty: isQuoted.toggle()
            case "," where !isQuoted:
                row.append(String(field))
                field = String.UnicodeScalarView()
            case "\r" where !isQuoted && rest.first == "\n":
                rest.removeFirst()
                rows.append(row + [String(field)])
                row = []
                field = String.UnicodeScalarView()
            default: field.append(scalar)
            }
        }
        return rows
    }
}
