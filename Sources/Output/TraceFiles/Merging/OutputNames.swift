import Compression
import TraceModel

/// What a window of a resource leaves behind. Raw values stand in checkpoints and announcements.
package enum OutputKind: UInt8, CaseIterable, Sendable {
    /// Chrome trace, one a host.
    case json = 0
    /// One a resource.
    case csv = 1
    /// Call stacks, one a host.
    case stacks = 2
    /// One a resource.
    case anomalies = 3

    /// The directory under `output`.
    package var directory: String {
        switch self {
        case .json: "json"
        case .csv: "csv"
        case .stacks: "txt"
        case .anomalies: "anomalies"
        }
    }

    /// How a segment's name ends: what viewers know, or `.records` for our own binary form.
    var segmentSuffix: String {
        switch self {
        case .json: ".json"
        case .csv: ".csv"
        case .stacks: ".stacks.records"
        case .anomalies: ".anomalies.records"
        }
    }

    /// The most that merging segments of so many bytes can write, of which so many are call stacks: their text is escaped
    /// when it is merged, other rows stay what they are.
    static func mergeBytesMax(bytes: Int, stackBytes: Int) -> Int {
        bytes + stackBytes * (Limits.mergedBytesPerStackByteMax - 1)
    }

    /// Whether rows carry their host, which then decides between equal time and process id.
    var holdsManyHosts: Bool { self == .csv || self == .anomalies }
}

/// The final names of a window's outputs. They depend only on the set of hosts in the window.
struct OutputNames {
    let resource: Resource
    let stem: String
    /// The host whose files are named as this machine's: of several, the first by name.
    private let localHost: String?
    private let localName: String

    init(resource: Resource, stem: String, files: [ClosedFile], localHostName: String) {
        self.resource = resource
        self.stem = stem
        localHost = files.filter { $0.isThisMachine && $0.kind != .csv && $0.kind != .anomalies }.map(\.host).min {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        let safe = SafeName.of(localHostName)
        // Another host that calls itself as this machine keeps its own name.
        let local = localHost ?? ""
        let isTaken = files.contains { !$0.host.utf8.elementsEqual(local.utf8) && SafeName.of($0.host) == safe }
        localName = isTaken ? SafeName.ofThisMachine(localHostName) : safe
    }

    /// By its bytes: as text, names that are written differently can be equal.
    private func isLocal(_ host: String) -> Bool { localHost.map { $0.utf8.elementsEqual(host.utf8) } ?? false }

    /// `part`: of a trace or table that is too large for one file, from 1.
    func json(host: String, part: Int = 1) -> String {
        let suffix = isLocal(host) ? "" : "_\(SafeName.of(host))"
        return path(.json, "\(resource.name)_trace_\(stem)\(suffix)\(Self.ending(part)).json")
    }

    func csv(part: Int = 1) -> String { path(.csv, "\(resource.name)_trace_\(stem)\(Self.ending(part)).csv") }

    /// `~002`: no stem or host has the mark, and names sort by part.
    private static func ending(_ part: Int) -> String {
        guard part > 1 else { return "" }
        let digits = String(part)
        return "~" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    func stacks(host: String) -> String {
        let name = isLocal(host) ? localName : SafeName.of(host)
        return path(.stacks, "stackmessage_\(stem)_\(name).txt")
    }

    func folded(host: String) -> String { String(stacks(host: host).dropLast(3)) + "folded" }

    var anomaliesJSON: String { path(.anomalies, "anomalies_\(stem)_\(resource.name).jsonl") }
    var anomaliesCSV: String { path(.anomalies, "anomalies_\(stem)_\(resource.name).csv") }

    /// Where an output grows: beside its final place, hidden. The same compressed or not, so that a redo under
    /// another setting leaves nothing behind.
    static func temporary(_ target: String) -> String {
        let suffix = FileCompression(ofPath: target)?.suffix ?? ""
        let target = target.dropLast(suffix.count)
        guard let slash = target.lastIndex(of: "/") else { return ".tmp-\(target)" }
        return "\(target[...slash]).tmp-\(target[target.index(after: slash)...])"
    }

    /// Where an output goes whose name somebody else's file has; `number`: from 2.
    static func beside(_ target: String, _ number: Int) -> String {
        let suffix = FileCompression(ofPath: target)?.suffix ?? ""
        let plain = target.dropLast(suffix.count)
        guard let dot = plain.lastIndex(of: ".") else { return "\(target)~beside\(number)" }
        return "\(plain[..<dot])~beside\(number)\(plain[dot...])\(suffix)"
    }

    private func path(_ kind: OutputKind, _ name: String) -> String {
        "\(ClusterPaths.output)/\(kind.directory)/\(name)"
    }
}
