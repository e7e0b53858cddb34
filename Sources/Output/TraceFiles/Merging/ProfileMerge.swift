import SystemIO
import TraceModel

/// Adds up the call trees of a window's processes into its two files: a pprof profile with labels `host`, `process` and
/// `pid`, and folded stacks `host;process;outermost;…;innermost self-nanoseconds`, which have no process ids.
///
/// The text of all paths is bounded. Each process has an equal share of what is left of the bound; where its paths need
/// more, those with the least self time are added up under `(other)`, below the innermost path around them that is
/// kept. A process whose agent sends only some of its calls has one path `(sampled)` with its calls and no time.
struct ProfileMerge {
    /// The process that a tree belongs to.
    struct Owner {
        let host: [UInt8]
        let pid: UInt32
        let process: [UInt8]
    }

    private let profile: PprofWriter
    private let folded: FoldedStacks
    private var treesLeft: UInt64
    private var textLeft: Int

    /// The text of a path beside its names: the count, and what separates it.
    private static let fixedBytes = 24

    /// - Parameter treeCount: How often `add` will be called.
    init(
        _ profile: PprofWriter,
        _ folded: FoldedStacks,
        treeCount: UInt64,
        textBytesMax: Int = Limits.profileTextBytesMax
    ) {
        self.profile = profile
        self.folded = folded
        treesLeft = treeCount
        textLeft = textBytesMax
    }

    /// Begins the files. `span`: the times of the window's first and last event.
    func begin(span: ClosedRange<EpochNanoseconds>?) { profile.begin(span: span) }

    /// Adds one process's tree.
    mutating func add(_ tree: CallTreeRecord, of owner: Owner) throws {
        let share = textLeft / Int(clamping: max(treesLeft, 1))
        treesLeft = max(treesLeft, 1) - 1
        if let calls = tree.sampledCalls {
            try write([CallTreeRecord.sampled], calls, 0, owner)
        }
        let sizes = Self.pathBytes(of: tree, owner)
        let isShown = Self.shown(tree, sizes, bytesMax: share)
        var others: [Int: (calls: UInt64, nanoseconds: UInt64)] = [:]
        for (position, node) in tree.nodes.enumerated() where Self.isCounted(node) {
            if isShown[position] {
                textLeft -= sizes[position]
                let path = Self.path(of: position, in: tree)
                try write(path, node.calls, node.selfNanoseconds, owner)
                continue
            }
            var around = node.parent
            while let position = around, !isShown[position] { around = tree.nodes[position].parent }
            others[around ?? -1, default: (0, 0)].calls &+= node.calls
            others[around ?? -1, default: (0, 0)].nanoseconds &+= node.selfNanoseconds
        }
        for (around, sum) in others.sorted(by: { $0.key < $1.key }) {
            let path = around < 0 ? [] : Self.path(of: around, in: tree)
            textLeft -= around < 0 ? 0 : sizes[around]
            try write(path + [CallTreeRecord.other], sum.calls, sum.nanoseconds, owner)
        }
        textLeft = max(textLeft, 0)
    }

    private func write(
        _ path: [[UInt8]],
        _ calls: UInt64,
        _ nanoseconds: UInt64,
        _ owner: Owner
    ) throws {
        try profile.add(
            path: path,
            calls: calls,
            nanoseconds: nanoseconds,
            labels: [
                ("host", .text(owner.host)), ("process", .text(owner.process)),
                ("pid", .number(UInt64(owner.pid))),
            ]
        )
        // Lines without time would not be seen; that a process is sampled is to be.
        guard nanoseconds > 0 || path == [CallTreeRecord.sampled] else { return }
        try folded.add(path: [owner.host, owner.process] + path, weight: nanoseconds)
    }

    private static func isCounted(_ node: CallTreeRecord.Node) -> Bool {
        node.calls > 0 || node.selfNanoseconds > 0
    }

    /// Returns the names on the path of a node, the outermost first.
    private static func path(of position: Int, in tree: CallTreeRecord) -> [[UInt8]] {
        var path: [[UInt8]] = []
        var at: Int? = position
        while let position = at {
            path.append(tree.name(of: tree.nodes[position]))
            at = tree.nodes[position].parent
        }
        return path.reversed()
    }

    /// Returns the text that the path of each node takes.
    private static func pathBytes(of tree: CallTreeRecord, _ owner: Owner) -> [Int] {
        let prefix = fixedBytes + owner.host.count + owner.process.count
        var sizes: [Int] = []
        sizes.reserveCapacity(tree.nodes.count)
        for node in tree.nodes {
            let around = node.parent.map { sizes[$0] } ?? prefix
            sizes.append(around + tree.name(of: node).count + 1)
        }
        return sizes
    }

    /// Returns, for each node, whether its path is kept: all of them where they fit; else those with the most self
    /// time, in half of the room, as each may need a path `(other)` beside it.
    private static func shown(
        _ tree: CallTreeRecord,
        _ sizes: [Int],
        bytesMax: Int
    ) -> [Bool] {
        let counted = tree.nodes.indices.filter { isCounted(tree.nodes[$0]) }
        var shown = [Bool](repeating: false, count: tree.nodes.count)
        var left = bytesMax
        if counted.reduce(0, { $0 + sizes[$1] }) <= left {
            for position in counted { shown[position] = true }
            return shown
        }
        left /= 2
        let byTime = counted.sorted {
            (tree.nodes[$1].selfNanoseconds, $0) < (tree.nodes[$0].selfNanoseconds, $1)
        }
        for position in byTime where sizes[position] <= left {
            shown[position] = true
            left -= sizes[position]
        }
        return shown
    }
}
