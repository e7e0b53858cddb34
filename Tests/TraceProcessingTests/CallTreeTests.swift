import SystemIO
import Testing
import TraceModel

@testable import TraceFiles
@testable import TraceProcessing

/// Calls and times of call paths, against a model that keeps whole paths.
@Suite struct CallTreeTests {
    /// What is counted along one path.
    struct Sums: Equatable {
        var calls: UInt64 = 0
        var nanoseconds: UInt64 = 0
    }

    /// Counts as the tree does, without nodes.
    private struct NaiveTree {
        struct Thread {
            var calls: [(cookie: Int64, path: [String])] = []
            var chargedUntil: EpochNanoseconds = 0
        }

        var threads: [UInt32: Thread] = [:]
        var paths: [[String]: Sums] = [:]

        private mutating func charge(_ tid: UInt32, _ time: EpochNanoseconds) {
            guard let innermost = threads[tid]?.calls.last else {
                threads[tid, default: Thread()].chargedUntil = time
                return
            }
            let until = threads[tid]?.chargedUntil ?? 0
            paths[innermost.path, default: Sums()].nanoseconds += UInt64(max(time - until, 0))
            threads[tid]?.chargedUntil = max(time, until)
        }

        mutating func enter(
            _ name: String,
            _ cookie: Int64,
            _ tid: UInt32,
            at time: EpochNanoseconds
        ) {
            charge(tid, time)
            let path = (threads[tid]?.calls.last?.path ?? []) + [name]
            paths[path, default: Sums()].calls += 1
            threads[tid, default: Thread()].calls.append((cookie, path))
        }

        mutating func exit(_ cookie: Int64, _ tid: UInt32, at time: EpochNanoseconds) {
            charge(tid, time)
            guard let position = threads[tid]?.calls.lastIndex(where: { $0.cookie == cookie })
            else { return }
            threads[tid]?.calls.removeSubrange(position...)
        }
    }

    private static let names = ["main", "read;all", "parse", "é", "run", "main loop"]

    /// The paths of a tree as they are written, and the sum of their times.
    private static func paths(of tree: borrowing CallTree) throws -> [[String]: Sums] {
        var writer = CallTreeWriter()
        tree.write(to: &writer, functionCount: names.count) { position in
            ByteView(Self.texts[position])
        }
        let record = try #require(CallTreeRecord(writer.bytes.buffer))
        var paths: [[String]] = []
        var result: [[String]: Sums] = [:]
        for node in record.nodes {
            let name = String(decoding: record.name(of: node), as: UTF8.self)
            paths.append((node.parent.map { paths[$0] } ?? []) + [name])
            guard node.calls > 0 || node.selfNanoseconds > 0 else { continue }
            #expect(result[paths[paths.count - 1]] == nil, "a path has one node")
            result[paths[paths.count - 1]] = Sums(
                calls: node.calls,
                nanoseconds: node.selfNanoseconds
            )
        }
        return result
    }

    private static let texts: [StaticString] = [
        "main", "read;all", "parse", "é", "run", "main loop",
    ]

    @Test(arguments: 1...40) func itCountsWhatANaiveModelCounts(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        var calls = OpenCalls()
        var tree = CallTree()
        var naive = NaiveTree()
        var totals = SlotTotals()
        var time: EpochNanoseconds = 1_000
        var cookie: Int64 = 0
        for _ in 0..<600 {
            let tid = UInt32(1 + random.below(3))
            // Clocks step back now and then.
            time += random.below(20) == 0 ? -Int64(random.below(500)) : Int64(random.below(90))
            switch random.below(12) {
            case 0...5:
                cookie += 1
                let function = random.below(Self.names.count)
                let call = OpenCalls.Call(cookie: cookie, function: UInt32(function), began: time)
                _ = calls.push(call, tid: tid, clock: time, used: 0, &tree, &totals)
                naive.enter(Self.names[function], cookie, tid, at: time)
            case 6...10:
                // The innermost call, or one around it whose inner exits are missing, or none at all.
                let open = naive.threads[tid]?.calls ?? []
                let up = random.below(8) == 0 ? random.below(4) : 0
                let ended = open.count > up ? open[open.count - 1 - up] : nil
                let name = ended?.path.last ?? "main"
                _ = calls.pop(
                    cookie: ended?.cookie ?? -1,
                    function: UInt32(Self.names.firstIndex(of: name) ?? 0),
                    tid: tid,
                    at: time,
                    clock: time,
                    used: 0,
                    &tree
                ) { _ in }
                naive.exit(ended?.cookie ?? -1, tid, at: time)
            default:
                if random.below(3) > 0 {
                    try Self.saveAndRestore(&tree, &calls)
                    continue
                }
                let expected = naive.paths.filter { $0.value != Sums() }
                #expect(try Self.paths(of: tree) == expected)
                let covered = expected.reduce(0) { $0 + $1.value.nanoseconds }
                let taken = tree.takeCovered()
                #expect(taken == covered)
                calls.moveNodes(tree.empty { calls.visitNodes($0) })
                naive.paths = [:]
            }
        }
        #expect(try Self.paths(of: tree) == naive.paths.filter { $0.value != Sums() })
        #expect(totals.callPathsCut == 0)
    }

    private static func saveAndRestore(_ tree: inout CallTree, _ calls: inout OpenCalls) throws {
        var buffer = RawBuffer()
        tree.encode(into: &buffer)
        calls.encode(into: &buffer)
        var reader = StateReader(buffer.bytes)
        let bytes = (tree.stateBytes, calls.stateBytes)
        tree = try CallTree(decoding: &reader, functionCount: names.count)
        calls = try OpenCalls(decoding: &reader, &tree)
        let after = (tree.stateBytes, calls.stateBytes)
        #expect(reader.isAtEnd && after == bytes)
    }

    /// What is beyond the bounds keeps its calls and its time, below the path that is known.
    @Test func whatIsBeyondTheBoundsCountsAsOther() throws {
        var totals = SlotTotals()
        var tree = CallTree(nodesMax: 2, depthMax: 9)
        let main = tree.enter(0, from: CallTree.root, &totals)
        let parse = tree.enter(2, from: main, &totals)
        let other = tree.enter(3, from: parse, &totals)
        let inner = tree.enter(4, from: other, &totals)
        let again = tree.enter(2, from: main, &totals)
        #expect(inner == other && again == parse, "known paths go on")
        tree.charge(30, to: other)
        tree.charge(5, to: parse)
        #expect(totals.callPathsCut == 2)
        #expect(
            try Self.paths(of: tree) == [
                ["main"]: Sums(calls: 1),
                ["main", "parse"]: Sums(calls: 2, nanoseconds: 5),
                ["main", "parse", "(other)"]: Sums(calls: 2, nanoseconds: 30),
            ]
        )
        var deep = CallTree(nodesMax: 100, depthMax: 3)
        var node = CallTree.root
        for _ in 0..<50 { node = deep.enter(1, from: node, &totals) }
        let count = deep.nodes.count
        #expect(count == 1 + 3 + 1 && totals.callPathsCut == 2 + 47)
    }

    /// Calls whose paths are not known stand in the record as such.
    @Test func sampledCallsHaveNoPath() throws {
        var tree = CallTree()
        let wasUsed = tree.isUsed
        tree.countSampled(0)
        tree.countSampled(41)
        let isUsed = tree.isUsed
        #expect(!wasUsed && isUsed)
        var writer = CallTreeWriter()
        tree.write(to: &writer, functionCount: 0) { _ in .empty }
        let record = try #require(CallTreeRecord(writer.bytes.buffer))
        #expect(record.nodes.isEmpty && record.sampledCalls == 41)
        _ = tree.empty { _ in }
        tree.write(to: &writer, functionCount: 0) { _ in .empty }
        #expect(CallTreeRecord(writer.bytes.buffer)?.sampledCalls == nil)
    }

    /// State that was not written by `encode` is refused, whatever byte of it is bad.
    @Test func damagedStateIsRefusedOrATree() {
        var totals = SlotTotals()
        var tree = CallTree()
        var node = CallTree.root
        for function in 0..<6 { node = tree.enter(UInt32(function), from: node, &totals) }
        var buffer = RawBuffer()
        tree.encode(into: &buffer)
        let bytes = Array(buffer.bytes)
        for position in bytes.indices {
            for value in [0, 1, 0x7F, 0xFF] as [UInt8] {
                var damaged = bytes
                damaged[position] = value
                damaged.withUnsafeBytes {
                    var reader = StateReader($0)
                    guard let read = try? CallTree(decoding: &reader, functionCount: 6) else {
                        return
                    }
                    for position in 1..<read.nodes.count {
                        #expect(read.nodes[position].parent < UInt32(position))
                    }
                }
            }
        }
    }
}
