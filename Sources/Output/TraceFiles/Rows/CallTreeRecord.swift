import SystemIO
package import TraceModel

// The payload of a call tree in a segment: one for each process and window, or several where a process was evicted in
// between. First part: the process's name. Second part: u8 version, varint calls whose paths are not known + 1 (0 where
// all are known), then items, all numbers varints:
//
//     0 | number of bytes | name                           a function; they count from 1 in this order
//     distance to the parent | function | calls | self     a node, behind its parent; nodes count from 1, the parent of
//                                                          outermost calls is 0; function 0 is `(other)`; self in ns

/// Encodes a call tree for its segment.
package struct CallTreeWriter: ~Copyable {
    static let version: UInt8 = 1

    private var text = RawBuffer()
    private var functions: UInt32 = 0
    private var nodes: UInt32 = 0

    package init() {}

    /// The encoded tree.
    package var bytes: ByteView { unsafe ByteView(text.bytes) }

    /// Begins a tree. `sampledCalls`: the number of calls whose paths are not known, because their agent sends only
    /// some of their events; nil if it sends all.
    package mutating func begin(sampledCalls: UInt64?) {
        text.removeAll()
        (functions, nodes) = (0, 0)
        text.append(byte: Self.version)
        text.append(varint: sampledCalls.map { $0 &+ 1 } ?? 0)
    }

    /// Defines a function and returns its number.
    package mutating func define(_ name: ByteView) -> UInt32 {
        functions += 1
        text.append(varint: 0)
        text.append(varint: UInt64(name.count))
        unsafe text.append(name.buffer)
        return functions
    }

    /// Appends a node behind its parent.
    package mutating func append(
        parent: UInt32,
        function: UInt32,
        calls: UInt64,
        selfNanoseconds: UInt64
    ) {
        nodes += 1
        text.append(varint: UInt64(nodes - parent))
        text.append(varint: UInt64(function))
        text.append(varint: calls)
        text.append(varint: selfNanoseconds)
    }
}

/// A decoded call tree of one process.
struct CallTreeRecord {
    /// A function called along one path.
    struct Node {
        /// The position of the parent in `nodes`; nil for an outermost call.
        let parent: Int?
        /// The position in `names`; nil for `(other)`.
        let name: Int?
        var calls: UInt64
        var selfNanoseconds: UInt64
    }

    /// What takes the place of a function's name where paths were cut.
    static let other = Array("(other)".utf8)
    /// What takes the place of a path where an agent sends only some events.
    static let sampled = Array("(sampled)".utf8)

    var names: [[UInt8]] = []
    /// Each node behind its parent.
    var nodes: [Node] = []
    let sampledCalls: UInt64?

    /// Decodes the second part of a payload; nil where it is none.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard unsafe bytes.first == CallTreeWriter.version else { return nil }
        var at = 1
        func number() -> UInt64? { unsafe Varint.read(bytes, at: &at) }
        guard let sampled = number() else { return nil }
        sampledCalls = sampled == 0 ? nil : sampled - 1
        while at < bytes.count {
            guard let up = number(), let next = number() else { return nil }
            if up == 0 {
                guard next <= UInt64(bytes.count - at) else { return nil }
                let name = unsafe String(decoding: bytes[at..<at + Int(next)], as: UTF8.self)
                names.append(Array(name.utf8))
                at += Int(next)
                continue
            }
            guard up <= UInt64(nodes.count + 1), next <= UInt64(names.count), let calls = number(),
                let time = number()
            else { return nil }
            let parent = nodes.count - Int(up)
            nodes.append(
                Node(
                    parent: parent < 0 ? nil : parent,
                    name: next == 0 ? nil : Int(next) - 1,
                    calls: calls,
                    selfNanoseconds: time
                )
            )
        }
    }

    /// Returns the name of a node's function.
    func name(of node: Node) -> [UInt8] { node.name.map { names[$0] } ?? Self.other }
}

extension TraceFileManager {
    /// Appends a process's call tree to the window. Rows of this output have no time.
    package func appendCallTree(
        host: HostID,
        pid: UInt32,
        process: ByteView,
        _ tree: borrowing CallTreeWriter
    ) {
        let name = hosts[host].name
        let start = unsafe SegmentRecord.begin(ts: 0, pid: pid, host: name, in: &profile.text)
        let lengthAt = unsafe profile.text.count
        unsafe profile.text.append(integer: UInt32(0))
        unsafe profile.text.append(repairing: process)
        unsafe SegmentRecord.end(lengthAt, in: &profile.text)
        unsafe profile.text.append(tree.bytes.buffer)
        unsafe SegmentRecord.end(start, in: &profile.text)
        profile.endRow(ts: 0, pid: pid, host: host.index)
    }
}
