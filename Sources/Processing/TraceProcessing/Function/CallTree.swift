import SystemIO
import TraceFiles
import TraceModel

/// The call paths of one process in the open window, each with its calls and self time.
///
/// A node is a function called along one path. Time is not taken from calls but from threads: at each event of a
/// thread, the time since its previous event goes to the node of the call that was innermost meanwhile
/// (`OpenCalls`). So self times add up to the time in which threads had a call open, recursion needs nothing, and a
/// call that spans several windows has its share in each.
///
/// Bounded: a path that would need a node beyond `Limits.callTreeNodesMax`, or is deeper than
/// `Limits.callTreeDepthMax`, ends in a node `(other)` of its caller, which takes the calls inside it too.
///
/// When the window ends, the tree is written (`CallTreeWriter`), and only the paths of open calls are kept, without
/// calls and times. A pure value: nothing depends on hashes, and what is only for speed is not saved.
struct CallTree: ~Copyable {
    /// A function called along one path.
    struct Node: BitwiseCopyable {
        let parent: UInt32
        /// The position in the process's functions, or `other`.
        fileprivate(set) var function: UInt32
        /// The child found last; `root` for none.
        fileprivate var lastChild = CallTree.root
        let depth: UInt32
        fileprivate(set) var calls: UInt64 = 0
        fileprivate(set) var selfNanoseconds: UInt64 = 0
    }

    /// The node around outermost calls. It stands for no function.
    static var root: UInt32 { 0 }
    /// The function of nodes that take what exceeds the bounds.
    static var other: UInt32 { .max }

    /// The root, then every node behind its parent.
    private(set) var nodes: RawArray<Node>
    private var index = IndexTable()
    private let nodesMax: Int
    private let depthMax: UInt32
    /// For how long threads had a call open, since `takeCovered`.
    private var coveredNanoseconds: UInt64 = 0
    /// Calls of an agent that sends only some of their events, so that their paths are not known.
    private var sampledCalls: UInt64 = 0
    private var isSampled = false
    /// Whether anything was counted since the tree was written.
    private(set) var isUsed = false

    init(nodesMax: Int = Limits.callTreeNodesMax, depthMax: Int = Limits.callTreeDepthMax) {
        self.nodesMax = nodesMax
        self.depthMax = UInt32(depthMax)
        nodes = RawArray(capacity: 1)
        nodes.append(Node(parent: Self.root, function: Self.other - 1, depth: 0))
    }

    // MARK: Events

    /// Counts a call of a function by the call of `parent`, or an outermost one of `root`. Returns its node.
    @inline(__always) mutating func enter(
        _ function: UInt32,
        from parent: UInt32,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) -> UInt32 {
        isUsed = true
        let cached = Int(nodes.base[Int(parent)].lastChild)
        if cached != 0, nodes.base[cached].function == function {
            nodes.base[cached].calls &+= 1
            return UInt32(truncatingIfNeeded: cached)
        }
        return find(function, from: parent, totals)
    }

    /// Adds time to a call's node.
    @inline(__always) mutating func charge(_ nanoseconds: UInt64, to node: UInt32) {
        nodes.base[Int(node)].selfNanoseconds &+= nanoseconds
        coveredNanoseconds &+= nanoseconds
        isUsed = true
    }

    /// Counts calls whose paths are not known.
    mutating func countSampled(_ calls: UInt64) {
        sampledCalls &+= calls
        isSampled = true
        isUsed = true
    }

    @inline(never) private mutating func find(
        _ function: UInt32,
        from parent: UInt32,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) -> UInt32 {
        let child = child(function, of: parent)
        if nodes[Int(child)].function == Self.other { totals.pointee.callPathsCut += 1 }
        nodes.base[Int(child)].calls &+= 1
        return child
    }

    /// Returns the node of a function called by that of `parent`, which is made if it is new.
    private mutating func child(_ function: UInt32, of parent: UInt32) -> UInt32 {
        if nodes[Int(parent)].function == Self.other { return parent }
        let hash = Self.hash(function, of: parent)
        let known = position(function, of: parent, hash)
        let child = known ?? add(function, to: parent, hash)
        nodes.base[Int(parent)].lastChild = child
        return child
    }

    private mutating func add(_ function: UInt32, to parent: UInt32, _ hash: UInt64) -> UInt32 {
        let depth = nodes[Int(parent)].depth + 1
        guard nodes.count <= nodesMax, depth <= depthMax else {
            let hash = Self.hash(Self.other, of: parent)
            return position(Self.other, of: parent, hash) ?? append(Self.other, to: parent, hash)
        }
        return append(function, to: parent, hash)
    }

    private mutating func append(_ function: UInt32, to parent: UInt32, _ hash: UInt64) -> UInt32 {
        let position = nodes.count
        index.insert(hash, position: position)
        let depth = nodes[Int(parent)].depth + 1
        nodes.append(Node(parent: parent, function: function, depth: depth))
        return UInt32(position)
    }

    @inline(__always) private func position(
        _ function: UInt32,
        of parent: UInt32,
        _ hash: UInt64
    ) -> UInt32? {
        index.find(hash) {
            nodes.base[$0].function == function && nodes.base[$0].parent == parent
        }.map { UInt32($0) }
    }

    private static func hash(_ function: UInt32, of parent: UInt32) -> UInt64 {
        NameHash.mix(UInt64(parent) << 32 | UInt64(function))
    }

    // MARK: Windows

    /// Returns for how long threads have had a call open since the last call of this function.
    mutating func takeCovered() -> UInt64 {
        defer { coveredNanoseconds = 0 }
        return coveredNanoseconds
    }

    /// Writes the tree. `name` returns the name of a function. O(nodes + functions).
    borrowing func write(
        to writer: inout CallTreeWriter,
        functionCount: Int,
        name: (Int) -> ByteView
    ) {
        writer.begin(sampledCalls: isSampled ? sampledCalls : nil)
        var written = RawArray<UInt32>(capacity: max(functionCount, 1))
        for _ in 0..<functionCount { written.append(0) }
        for position in 1..<max(nodes.count, 1) {
            let node = nodes[position]
            var function: UInt32 = 0
            if node.function != Self.other {
                function = written[Int(node.function)]
                if function == 0 {
                    function = writer.define(name(Int(node.function)))
                    written[Int(node.function)] = function
                }
            }
            writer.append(
                parent: node.parent,
                function: function,
                calls: node.calls,
                selfNanoseconds: node.selfNanoseconds
            )
        }
    }

    /// Begins anew, with the paths of open calls only. `visitOpen` visits the nodes of these. Returns the new
    /// position of each node, `.max` for those that are gone. O(nodes + open calls).
    mutating func empty(visitOpen: ((UInt32) -> Void) -> Void) -> RawArray<UInt32> {
        var positions = RawArray<UInt32>(capacity: nodes.count)
        for _ in 0..<nodes.count { positions.append(.max) }
        positions[0] = Self.root
        visitOpen { node in
            var node = node
            while positions[Int(node)] == .max {
                positions[Int(node)] = 0
                node = nodes[Int(node)].parent
            }
        }
        var kept = RawArray<Node>(capacity: 1)
        for position in 0..<nodes.count where positions[position] != .max {
            let node = nodes[position]
            positions[position] = UInt32(kept.count)
            kept.append(
                Node(
                    parent: positions[Int(node.parent)],
                    function: node.function,
                    depth: node.depth
                )
            )
        }
        nodes = kept
        fileIndex()
        isUsed = false
        isSampled = false
        sampledCalls = 0
        return positions
    }

    private mutating func fileIndex() {
        index = IndexTable()
        for position in 1..<max(nodes.count, 1) {
            let node = nodes[position]
            index.insert(Self.hash(node.function, of: node.parent), position: position)
        }
    }

    // MARK: Bounds

    /// Twice the size, as the array is half empty at worst.
    private static var nodeBytes: Int { 2 * MemoryLayout<Node>.stride + StateCost.index }

    @inline(__always) var stateBytes: Int { (nodes.count &- 1) &* Self.nodeBytes }

    /// Visits the functions of all nodes.
    borrowing func visitFunctions(_ visit: (UInt32) -> Void) {
        for position in 1..<max(nodes.count, 1) where nodes[position].function != Self.other {
            visit(nodes[position].function)
        }
    }

    /// Updates the positions of functions; those of all nodes must still exist.
    mutating func moveFunctions(_ positions: borrowing RawArray<UInt32>) {
        for position in 1..<max(nodes.count, 1) where nodes[position].function != Self.other {
            nodes.base[position].function = positions[Int(nodes[position].function)]
        }
        fileIndex()
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: (isUsed ? 1 : 0) | (isSampled ? 2 : 0))
        buffer.append(varint: coveredNanoseconds)
        buffer.append(varint: sampledCalls)
        buffer.append(varint: UInt64(nodes.count - 1))
        for position in 1..<max(nodes.count, 1) {
            let node = nodes[position]
            buffer.append(varint: UInt64(position) - UInt64(node.parent))
            buffer.append(varint: node.function == Self.other ? 0 : UInt64(node.function) + 1)
            buffer.append(varint: node.calls)
            buffer.append(varint: node.selfNanoseconds)
        }
    }

    /// Decodes the state of a process with `functionCount` functions.
    init(decoding reader: inout StateReader, functionCount: Int) throws(TraceError) {
        self.init()
        let marks = try reader.integer(UInt8.self)
        isUsed = marks & 1 != 0
        isSampled = marks & 2 != 0
        coveredNanoseconds = try reader.varint()
        sampledCalls = try reader.varint()
        for _ in 0..<(try reader.varint()) {
            let up = try reader.varint()
            let function = try reader.varint()
            guard up > 0, up <= UInt64(nodes.count), function <= UInt64(functionCount) else {
                throw TraceError(.corrupt, "Stored state holds no call tree that can be")
            }
            let parent = UInt32(nodes.count) - UInt32(up)
            let position = function == 0 ? Self.other : UInt32(function - 1)
            let node = append(position, to: parent, Self.hash(position, of: parent))
            nodes.base[Int(node)].calls = try reader.varint()
            nodes.base[Int(node)].selfNanoseconds = try reader.varint()
        }
    }

    /// Returns the node of a call that was open before the tree was saved in states. Counts no call.
    mutating func open(_ function: UInt32, from parent: UInt32) -> UInt32 {
        child(function, of: parent)
    }
}
