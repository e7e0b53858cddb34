import TraceModel

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
        localHost = files.filter { $0.isThisMachine && $0.kind != .csv && $0.kind != .anomalies }
            .map(\.host).min { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let safe = SafeName.of(localHostName)
        // A remote host that calls itself as this machine keeps its own name.
        let isTaken = files.contains { !$0.isThisMachine && SafeName.of($0.host) == safe }
        localName = isTaken ? "\(safe).local" : safe
    }

    func json(host: String) -> String {
        let suffix = host == localHost ? "" : "_\(SafeName.of(host))"
        return path(.json, "\(resource.name)_trace_\(stem)\(suffix).json")
    }

    var csv: String { path(.csv, "\(resource.name)_trace_\(stem).csv") }

    func stacks(host: String) -> String {
        let name = host == localHost ? localName : SafeName.of(host)
        return path(.stacks, "stackmessage_\(stem)_\(name).txt")
    }

    func folded(host: String) -> String { String(stacks(host: host).dropLast(3)) + "folded" }

    var anomaliesJSON: String { path(.anomalies, "anomalies_\(stem)_\(resource.name).jsonl") }
    var anomaliesCSV: String { path(.anomalies, "anomalies_\(stem)_\(resource.name).csv") }

    /// Where an output grows: beside its final place, hidden.
    static func temporary(_ target: String) -> String {
        guard let slash = target.lastIndex(of: "/") else { return ".tmp-\(target)" }
        return "\(target[...slash]).tmp-\(target[target.index(after: slash)...])"
    }

    private func path(_ kind: OutputKind, _ name: String) -> String {
        "\(ClusterPaths.output)/\(kind.directory)/\(name)"
    }
}
