import Compression
import TraceModel

/// The kinds of output of a window. Raw values are stored in checkpoints and announcements.
package enum OutputKind: UInt8, CaseIterable, Sendable {
    /// Chrome trace, one per host.
    case json = 0
    /// Table, one per resource.
    case csv = 1
    /// Call stacks, one file per host.
    case stacks = 2
    /// List of anomalies, one per resource.
    case anomalies = 3
    /// Call trees of all processes.
    case profile = 4

    /// The directory under `output`.
    package var directory: String {
        switch self {
        case .json: "json"
        case .csv: "csv"
        case .stacks: "txt"
        case .anomalies: "anomalies"
        case .profile: "profile"
        }
    }

    /// The ending of a segment's name: what viewers know, or `.records` for the binary form.
    var segmentSuffix: String {
        switch self {
        case .json: ".json"
        case .csv: ".csv"
        case .stacks: ".stacks.records"
        case .anomalies: ".anomalies.records"
        case .profile: ".profile.records"
        }
    }

    /// An upper bound of the bytes that merging `bytes` bytes of segments writes. `stackBytes` of them are call stacks,
    /// whose text the merge escapes, and `profileBytes` call trees, of which it writes each path; other rows keep their
    /// size.
    static func mergeBytesMax(bytes: Int, stackBytes: Int, profileBytes: Int = 0) -> Int {
        let profile = profileBytes.multipliedReportingOverflow(
            by: Limits.mergedBytesPerProfileByteMax
        )
        return bytes + stackBytes * (Limits.mergedBytesPerStackByteMax - 1)
            + (profile.overflow
                ? Limits.profileBytesMax : min(profile.partialValue, Limits.profileBytesMax))
    }
}

/// The final names of a window's outputs. They depend only on the set of hosts in the window.
struct OutputNames {
    let resource: Resource
    let stem: String
    /// The host whose files get this machine's name. If there are several, the first one by name.
    private let localHost: String?
    private let localName: String

    init(resource: Resource, stem: String, files: [ClosedFile], localHostName: String) {
        self.resource = resource
        self.stem = stem
        localHost = files.filter { $0.isThisMachine && ($0.kind == .json || $0.kind == .stacks) }
            .map(\.host).min {
                $0.utf8.lexicographicallyPrecedes($1.utf8)
            }
        let safe = SafeName.of(localHostName)
        // Another host that uses this machine's name keeps that name.
        let local = localHost ?? ""
        let isTaken = files.contains {
            !$0.host.utf8.elementsEqual(local.utf8) && SafeName.of($0.host) == safe
        }
        localName = isTaken ? SafeName.ofThisMachine(localHostName) : safe
    }

    /// Compares bytes: two strings with different bytes can be equal.
    private func isLocal(_ host: String) -> Bool {
        localHost.map { $0.utf8.elementsEqual(host.utf8) } ?? false
    }

    /// The path of a trace. `part` counts from 1, if the trace needs several files.
    func json(host: String, part: Int = 1) -> String {
        let suffix = isLocal(host) ? "" : "_\(SafeName.of(host))"
        return path(.json, "\(resource.name)_trace_\(stem)\(suffix)\(Self.ending(part)).json")
    }

    func csv(part: Int = 1) -> String {
        path(.csv, "\(resource.name)_trace_\(stem)\(Self.ending(part)).csv")
    }

    /// `~002`, for example: no stem or host contains the character, and names sort by part.
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

    var profile: String { path(.profile, "profile_\(stem).pb.gz") }
    var foldedProfile: String { path(.profile, "profile_\(stem).folded") }

    var anomaliesJSON: String { path(.anomalies, "anomalies_\(stem)_\(resource.name).jsonl") }
    var anomaliesCSV: String { path(.anomalies, "anomalies_\(stem)_\(resource.name).csv") }

    /// The hidden temporary path of an output, beside its final path. The same with and without compression, so that a
    /// merge repeated with another setting leaves nothing behind.
    static func temporary(_ target: String) -> String {
        let suffix = FileCompression(ofPath: target)?.suffix ?? ""
        let target = target.dropLast(suffix.count)
        guard let slash = target.lastIndex(of: "/") else { return ".tmp-\(target)" }
        return "\(target[...slash]).tmp-\(target[target.index(after: slash)...])"
    }

    /// An alternative path of an output, for the case that a file of another origin has its name. `number` counts from
    /// 2.
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
