import SystemIO
package import TraceModel

/// Selects windows and processes in the profiles of a data directory. Nil selects everything.
package struct ProfileSelection: Sendable, Equatable {
    /// Inclusive bounds, in nanoseconds since the epoch. Of windows that lie in them only in part, the events are read,
    /// or, where these are too many, the windows count as a whole.
    package var from: EpochNanoseconds?
    package var to: EpochNanoseconds?
    /// The stem of the only window to read.
    package var stem: String?
    package var host: String?
    package var pid: UInt32?

    package init() {}
}

/// The call paths of several windows, added up: `host`, `process`, and the functions below it.
///
/// Memory is bounded: paths beyond `nodesMax` count under `(other)`, below the path that is known.
package struct CallPaths {
    /// A host, a process or a function along one path.
    package struct Node: Sendable {
        /// The position of the parent; nil for hosts.
        package let parent: Int?
        /// The position in `names`.
        package let name: Int
        package fileprivate(set) var calls: UInt64 = 0
        package fileprivate(set) var selfNanoseconds: UInt64 = 0
    }

    /// A process whose agent sends only some of its calls, so that they are in no path.
    package struct Sampled: Hashable, Sendable {
        package let host: [UInt8]
        package let process: [UInt8]
        package let pid: UInt32
    }

    /// A child in the index of all nodes.
    private struct Edge: Hashable {
        let parent: Int
        let name: Int
    }

    package private(set) var names: [[UInt8]] = []
    /// Each node behind its parent. Nodes of depth 0 are hosts, those of depth 1 processes.
    package private(set) var nodes: [Node] = []
    package private(set) var windows = 0
    /// Those of which only the events in the span were counted.
    package private(set) var windowsInPart = 0
    /// The times of the first and last event in the windows read; nil without any.
    package private(set) var covered: ClosedRange<EpochNanoseconds>?
    /// The sum of the lengths of the windows, in nanoseconds.
    package private(set) var lengthNanoseconds: UInt64 = 0
    /// The calls of processes that are in no path, in no order.
    package private(set) var sampled: [Sampled: UInt64] = [:]
    /// Calls that count under `(other)` because there were too many paths.
    package private(set) var callsBeyond: UInt64 = 0

    /// The calls of each function, by the number of its name, in the windows whose profiles were counted, by their stems.
    /// Only if durations are asked for.
    package private(set) var callsOfProfiles: [String: [Int: UInt64]] = [:]

    private var numbers: [[UInt8]: Int] = [:]
    private var children: [Edge: Int] = [:]
    private var nameBytes = 0
    /// The nodes that take what there is no room for.
    private var beyond: Set<Int> = []
    private let nodesMax: Int
    private let budget: ReadingBudget
    /// The memory of a node with what its readers need beside it, of a name without its text, and what is left for
    /// reading, in bytes.
    private static let nodeBytes = 256
    private static let nameFixedBytes = 160
    private static let reserveBytes = 8 << 20

    init(nodesMax: Int = Limits.profileNodesMax, budget: ReadingBudget = ReadingBudget()) {
        self.nodesMax = nodesMax
        self.budget = budget
    }

    /// Reads the profiles of a data directory; `root` is empty if it is the current directory. Files that retention
    /// removes meanwhile are left out. Memory is taken from `budget`. Events of more than `eventBytesMax` bytes are not
    /// read. Blocks. `checkCancelled` is called between samples now and then, and throws to end the reading. `ended` is
    /// called for each call that ends in a window of which the events are read, with the number of its name and its
    /// duration in nanoseconds.
    /// - Throws: `TraceError` if a file is damaged; whatever `checkCancelled` throws.
    package init(
        _ selection: ProfileSelection,
        root: String = "",
        nodesMax: Int = Limits.profileNodesMax,
        eventBytesMax: Int = Limits.profileEventBytesMax,
        budget: ReadingBudget = ReadingBudget(),
        ended: ((_ name: Int, _ nanoseconds: UInt64) -> Void)? = nil,
        checkCancelled: @escaping () throws -> Void = {}
    ) throws {
        self.init(nodesMax: nodesMax, budget: budget)
        let parts = try EventPaths.parts(
            of: selection,
            root: root,
            eventBytesMax: eventBytesMax,
            budget: budget,
            checkCancelled: checkCancelled
        )
        windowsInPart = parts.windows.count
        for var events in parts.groups {
            try events.add(to: &self, ended: ended, checkCancelled: checkCancelled)
        }
        try Self.forEachProfile(selection, root: root, budget: budget) { reader in
            let part = parts.windows[reader.path]
            add(window: part.map { selection.part(of: $0) } ?? reader.span)
            var isOfHost: [Int: Bool] = [:]
            var known: [Int: Int] = [:]
            var count = 0
            while try reader.next() {
                if count % 1_024 == 0 { try checkCancelled() }
                count += 1
                let sample = reader.sample
                if let pid = selection.pid, pid != sample.pid { continue }
                if let host = selection.host {
                    let name = reader.strings[sample.host]
                    let isWanted = isOfHost[sample.host] ?? name.elementsEqual(host.utf8)
                    isOfHost[sample.host] = isWanted
                    guard isWanted else { continue }
                }
                // Calls whose paths are not known stand in no events.
                guard part == nil || reader.isOfSampled else { continue }
                add(sample, of: reader, &known)
                guard ended != nil, let name = sample.path.first.flatMap({ known[$0] }) else {
                    continue
                }
                callsOfProfiles[reader.stem, default: [:]][name, default: 0] &+= sample.calls
            }
        }
    }

    /// Calls `body` with each profile that the selection's windows have, oldest first.
    static func forEachProfile(
        _ selection: ProfileSelection,
        root: String,
        budget: ReadingBudget,
        _ body: (ProfileReader) throws -> Void
    ) throws {
        let (head, ending) = ("profile_", ".pb.gz")
        // Names begin with the window's time, so they sort by window.
        let paths = try FinalFile.paths(of: .profile, root: root) { name in
            guard name.hasPrefix(head), name.hasSuffix(ending) else { return false }
            guard let stem = selection.stem else { return true }
            let own = name.dropFirst(head.utf8.count).dropLast(ending.utf8.count)
            // Of files from several cells the cell's name follows the time.
            return own == stem || own.hasPrefix("\(stem)-")
        }
        for path in paths {
            guard let reader = try ProfileReader(path, budget: budget) else { continue }
            if let span = reader.span {
                if let from = selection.from, span.upperBound < from { continue }
                if let to = selection.to, span.lowerBound > to { continue }
            }
            try body(reader)
        }
    }

    /// Whether the windows that were read have events outside of a span.
    package func exceeds(from: EpochNanoseconds?, to: EpochNanoseconds?) -> Bool {
        guard let covered else { return false }
        return from.map { covered.lowerBound < $0 } ?? false
            || to.map { covered.upperBound > $0 } ?? false
    }

    /// The sum of all self times: for how long threads had a call open.
    package var totalNanoseconds: UInt64 { nodes.reduce(0) { $0 &+ $1.selfNanoseconds } }

    /// Returns, for each node, its time with that of all paths through it.
    package func totals() -> [UInt64] {
        var totals = nodes.map(\.selfNanoseconds)
        for position in nodes.indices.reversed() {
            if let parent = nodes[position].parent { totals[parent] &+= totals[position] }
        }
        return totals
    }

    /// Returns the children of each node, and the hosts behind them, ordered by the bytes of their names.
    package func childrenByName() -> [[Int]] {
        var children = [[Int]](repeating: [], count: nodes.count + 1)
        for position in nodes.indices {
            children[nodes[position].parent ?? nodes.count].append(position)
        }
        for position in children.indices where children[position].count > 1 {
            children[position].sort {
                names[nodes[$0].name].lexicographicallyPrecedes(names[nodes[$1].name])
            }
        }
        return children
    }

    // MARK: Adding

    mutating func add(window: ClosedRange<EpochNanoseconds>?) {
        windows += 1
        guard let window else { return }
        lengthNanoseconds &+= UInt64(window.upperBound &- window.lowerBound)
        covered =
            covered.map {
                min($0.lowerBound, window.lowerBound)...max($0.upperBound, window.upperBound)
            } ?? window
    }

    /// Adds a sample. `known`: the numbers of the file's names here, as far as they are known.
    private mutating func add(
        _ sample: ProfileReader.Sample,
        of reader: ProfileReader,
        _ known: inout [Int: Int]
    ) {
        func name(_ number: Int) -> Int {
            if let found = known[number] { return found }
            let found = self.name(reader.strings[number])
            known[number] = found
            return found
        }
        if reader.isOfSampled {
            let process = Sampled(
                host: reader.strings[sample.host],
                process: reader.strings[sample.process],
                pid: sample.pid
            )
            // Beyond a bound it is enough that some are named.
            if sampled[process] != nil || sampled.count < Limits.profileSampledMax {
                sampled[process, default: 0] &+= sample.calls
            }
            return
        }
        var path = [name(sample.host), name(sample.process)]
        for number in sample.path.reversed() { path.append(name(number)) }
        add(path, calls: sample.calls, nanoseconds: sample.nanoseconds)
    }

    /// Adds a path of host, process and functions.
    mutating func add(path: [[UInt8]], calls: UInt64, nanoseconds: UInt64) {
        add(path.map { name($0) }, calls: calls, nanoseconds: nanoseconds)
    }

    private mutating func add(_ path: [Int], calls: UInt64, nanoseconds: UInt64) {
        var node: Int?
        for name in path { node = child(name, of: node) }
        if let node { count(calls: calls, nanoseconds: nanoseconds, at: node) }
    }

    /// Returns the node of a name below another one, or of a host. It is added where there is room; else it is `(other)`,
    /// below which there is nothing.
    mutating func child(_ name: Int, of parent: Int?) -> Int {
        if let parent, beyond.contains(parent) { return parent }
        let edge = Edge(parent: parent ?? -1, name: name)
        if let child = children[edge] { return child }
        // Hosts and processes always have a place.
        guard let parent, nodes[parent].parent != nil else {
            budget.takesBeyond(Self.nodeBytes)
            return append(edge)
        }
        if nodes.count < nodesMax, budget.takes(Self.nodeBytes, besides: Self.reserveBytes) {
            return append(edge)
        }
        let other = Edge(parent: parent, name: self.name(CallTreeRecord.other))
        let child = children[other] ?? append(other)
        beyond.insert(child)
        return child
    }

    /// Adds calls and time to a node.
    mutating func count(calls: UInt64, nanoseconds: UInt64, at node: Int) {
        nodes[node].calls &+= calls
        nodes[node].selfNanoseconds &+= nanoseconds
        if beyond.contains(node) { callsBeyond &+= calls }
    }

    private mutating func append(_ edge: Edge) -> Int {
        nodes.append(Node(parent: edge.parent < 0 ? nil : edge.parent, name: edge.name))
        children[edge] = nodes.count - 1
        return nodes.count - 1
    }

    /// Returns the number of a name.
    mutating func name(_ bytes: [UInt8]) -> Int {
        if let known = numbers[bytes] { return known }
        // Beyond the bound, further names are one.
        let isFull =
            nameBytes > Limits.profileNamesBytesMax
            || !budget.takes(2 * bytes.count + Self.nameFixedBytes, besides: Self.reserveBytes)
        if isFull, bytes != CallTreeRecord.other {
            return name(CallTreeRecord.other)
        }
        nameBytes += bytes.count + 64
        names.append(bytes)
        numbers[bytes] = names.count - 1
        return names.count - 1
    }
}
