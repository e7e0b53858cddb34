import Compression
import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// From workers' call trees to a window's profile, and back to call paths.
@Suite struct ProfileTests {
    private static let stem = "20251009_085320"
    private static let span: ClosedRange<EpochNanoseconds> = 1_000...5_000

    /// A tree of paths with calls and self times.
    private static func tree(
        _ paths: [(path: [String], calls: UInt64, nanoseconds: UInt64)],
        sampledCalls: UInt64? = nil
    ) throws -> CallTreeRecord {
        var writer = CallTreeWriter()
        writer.begin(sampledCalls: sampledCalls)
        var functions: [String: UInt32] = ["(other)": 0]
        var nodes: [[String]: UInt32] = [[]: 0]
        for (path, calls, nanoseconds) in paths {
            let name = try #require(path.last)
            if functions[name] == nil {
                functions[name] = Array(name.utf8).withUnsafeBytes {
                    writer.define(ByteView($0))
                }
            }
            writer.append(
                parent: try #require(nodes[path.dropLast()]),
                function: try #require(functions[name]),
                calls: calls,
                selfNanoseconds: nanoseconds
            )
            nodes[path] = UInt32(nodes.count)
        }
        return try #require(CallTreeRecord(writer.bytes.buffer))
    }

    private static func owner(
        _ host: String,
        _ pid: UInt32,
        _ process: String
    )
        -> ProfileMerge.Owner
    { ProfileMerge.Owner(host: Array(host.utf8), pid: pid, process: Array(process.utf8)) }

    /// The files that a merge makes of the trees: the profile in a data directory, and the folded stacks.
    private static func merged(
        _ trees: [(CallTreeRecord, ProfileMerge.Owner)],
        in directory: TemporaryDirectory,
        textBytesMax: Int = Limits.profileTextBytesMax
    ) throws -> String {
        let root = "\(directory.path)/output/profile"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let writer = try MergeWriter(
            "\(root)/profile_\(stem).pb.gz",
            bufferBytes: 64 << 10,
            compression: .gzip
        )
        let folded = FoldedStacks(
            spillPrefix: "\(directory.path)/spill",
            bytesMax: 1 << 20,
            bufferBytes: 4_096
        )
        let profile = PprofWriter {
            writer.text.append($0)
            try writer.rowEnded()
        }
        var merge = ProfileMerge(
            profile,
            folded,
            treeCount: UInt64(trees.count),
            textBytesMax: textBytesMax
        )
        merge.begin(span: span)
        for (tree, owner) in trees { try merge.add(tree, of: owner) }
        try profile.finish()
        try writer.finish()
        let lines = try MergeWriter("\(directory.path)/folded", bufferBytes: 4_096)
        try folded.write(to: lines)
        try lines.finish()
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/folded"))
        return String(decoding: data, as: UTF8.self)
    }

    /// The paths as text, with calls and self time.
    private static func lines(_ paths: CallPaths) -> [String] {
        var texts: [String] = []
        var lines: [String] = []
        for node in paths.nodes {
            let name = String(decoding: paths.names[node.name], as: UTF8.self)
            texts.append((node.parent.map { texts[$0] + ";" } ?? "") + name)
            guard node.calls > 0 || node.selfNanoseconds > 0 else { continue }
            lines.append("\(texts[texts.count - 1]) \(node.calls) \(node.selfNanoseconds)")
        }
        return lines.sorted()
    }

    private static func example() throws -> [(CallTreeRecord, ProfileMerge.Owner)] {
        let web = try tree([
            (["main"], 1, 50), (["main", "a;b"], 2, 300), (["main", "a;b", "main"], 1, 7),
            (["idle"], 0, 0),
        ])
        let other = try tree([(["main"], 3, 20), (["main", "<é>"], 1, 0)])
        let sampled = try tree([], sampledCalls: 41)
        return [
            (web, owner("alpha", 7, "web")), (other, owner("alpha", 8, "web")),
            (other, owner("beta", 7, "db")), (sampled, owner("beta", 9, "py")),
        ]
    }

    @Test func whatIsMergedIsReadBack() throws {
        let directory = try TemporaryDirectory()
        let folded = try Self.merged(try Self.example(), in: directory)
        #expect(
            folded == """
                alpha;web;main 70
                alpha;web;main;a:b 300
                alpha;web;main;a:b;main 7
                beta;db;main 20
                beta;py;(sampled) 0

                """
        )
        let all = try CallPaths(ProfileSelection(), root: directory.path)
        #expect(
            Self.lines(all) == [
                "alpha;web;main 4 70", "alpha;web;main;<é> 1 0", "alpha;web;main;a;b 2 300",
                "alpha;web;main;a;b;main 1 7", "beta;db;main 3 20", "beta;db;main;<é> 1 0",
            ]
        )
        #expect(all.windows == 1 && all.covered == Self.span && all.lengthNanoseconds == 4_000)
        #expect(all.totalNanoseconds == 397 && all.callsBeyond == 0)
        #expect(all.sampled.map(\.value) == [41] && all.sampled.first?.key.pid == 9)
        var selection = ProfileSelection()
        selection.pid = 7
        #expect(try CallPaths(selection, root: directory.path).totalNanoseconds == 377)
        selection.host = "beta"
        #expect(try CallPaths(selection, root: directory.path).totalNanoseconds == 20)
        selection.host = "bet"
        #expect(try CallPaths(selection, root: directory.path).nodes.isEmpty)
    }

    /// A window counts if it overlaps the span; where its traces are gone, as a whole.
    @Test func spansSelectWindows() throws {
        let directory = try TemporaryDirectory()
        _ = try Self.merged(try Self.example(), in: directory)
        func read(_ from: EpochNanoseconds?, _ to: EpochNanoseconds?) throws -> (Int, Bool) {
            var selection = ProfileSelection()
            (selection.from, selection.to) = (from, to)
            let paths = try CallPaths(selection, root: directory.path)
            return (paths.windows, paths.exceeds(from: from, to: to))
        }
        #expect(try read(5_001, nil) == (0, false) && read(nil, 999) == (0, false))
        #expect(try read(5_000, nil) == (1, true) && read(nil, 1_000) == (1, true))
        #expect(try read(1_000, 5_000) == (1, false))
        var selection = ProfileSelection()
        selection.stem = Self.stem
        #expect(try CallPaths(selection, root: directory.path).windows == 1)
        selection.stem = "20251009"
        #expect(try CallPaths(selection, root: directory.path).windows == 0)
    }

    /// What does not fit is added up; nothing is lost, and what took the most time keeps its path.
    @Test(arguments: [300, 2_000, 20_000]) func textIsBounded(_ bytesMax: Int) throws {
        var random = SeededGenerator(seed: UInt64(bytesMax))
        var known: [[String]] = [[]]
        var paths: [(path: [String], calls: UInt64, nanoseconds: UInt64)] = []
        for number in 0..<2_000 {
            let path = known[Int(random.next() % UInt64(known.count))] + ["function\(number)"]
            known.append(path)
            paths.append((path, 1, number == 1_234 ? 1 << 40 : random.next() % 1_000))
        }
        let tree = try Self.tree(paths)
        let directory = try TemporaryDirectory()
        let trees = [
            (tree, Self.owner("alpha", 1, "one")), (tree, Self.owner("beta", 2, "two")),
        ]
        let folded = try Self.merged(trees, in: directory, textBytesMax: bytesMax)
        #expect(folded.utf8.count <= bytesMax + 2 * 64)
        let read = try CallPaths(ProfileSelection(), root: directory.path)
        #expect(read.nodes.reduce(0) { $0 + $1.calls } == 4_000)
        let sum = paths.reduce(0) { $0 + $1.nanoseconds }
        #expect(read.totalNanoseconds == 2 * sum)
        #expect(folded.contains("function1234 ") || bytesMax < 1_000)
        #expect(folded.contains("(other)"))
    }

    /// Too many paths of many windows count where they are known, and are counted.
    @Test func pathsReadAreBounded() throws {
        let directory = try TemporaryDirectory()
        _ = try Self.merged(try Self.example(), in: directory)
        let paths = try CallPaths(ProfileSelection(), root: directory.path, nodesMax: 3)
        #expect(paths.totalNanoseconds == 397 && paths.callsBeyond > 0)
        #expect(Self.lines(paths).contains { $0.contains("(other)") })
    }

    /// Of a window that the span covers in part, what its traces have in the span counts.
    @Test func partsOfWindowsCountByTheirEvents() throws {
        let directory = try TemporaryDirectory()
        _ = try Self.merged(try Self.example(), in: directory)
        let path = "\(directory.path)/output/json"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        func call(_ phase: String, _ time: Int, _ cookie: Int, pid: Int, _ name: String) -> String {
            """
            {"ts":\(time / 1_000).\(String(time + 1_000_000).suffix(3)),"pid":\(pid),"tid":\(pid),"ph":"\(phase)",\
            "cat":"function","name":"\(name)","args":{"cookie":\(cookie)}}
            """
        }
        let rows = [
            call("B", 1_000, 1, pid: 7, "main"), call("B", 1_500, 2, pid: 7, #"a\"\u0001b"#),
            call("B", 1_600, 3, pid: 9, "sampled"), call("E", 1_700, 3, pid: 9, "sampled"),
            call("B", 2_000, 4, pid: 8, "main"), call("E", 2_500, 2, pid: 7, #"a\"\u0001b"#),
            call("B", 2_600, 5, pid: 7, "main"), call("E", 4_000, 5, pid: 7, "main"),
            call("E", 4_500, 1, pid: 7, "main"), call("E", 5_000, 4, pid: 8, "main"),
        ]
        for host in ["alpha", "beta"] {
            let head = """
                {"displayTimeUnit":"ms","metadata":{"resource":"function","host":"\(host)",\
                "stem":"\(Self.stem)","window":1},"traceEvents":[
                """
            let text = head + "\n" + rows.joined(separator: ",\n") + "\n]}\n"
            let file = "\(path)/function_trace_\(Self.stem)_\(host).json"
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        }
        var selection = ProfileSelection()
        (selection.from, selection.to) = (1_400, 3_000)
        selection.host = "alpha"
        let paths = try CallPaths(selection, root: directory.path)
        #expect(
            Self.lines(paths)
                == [
                    "alpha;pid-9;sampled 1 100", "alpha;web;main 1 1200",
                    "alpha;web;main;a\"\u{1}b 1 1000", "alpha;web;main;main 1 400",
                ]
        )
        #expect(paths.covered == 1_400...3_000 && paths.lengthNanoseconds == 1_600)
        #expect(paths.windows == 1 && paths.windowsInPart == 1)
        #expect(!paths.exceeds(from: 1_400, to: 3_000))
        // Of a process whose agent sends only some calls, no events count.
        selection.host = "beta"
        let other = try CallPaths(selection, root: directory.path)
        #expect(!Self.lines(other).contains { $0.contains("sampled") })
        #expect(other.sampled.map(\.value) == [41])
        // Where the events are too many, the window counts as a whole.
        let whole = try CallPaths(selection, root: directory.path, eventBytesMax: 100)
        #expect(whole.windowsInPart == 0 && whole.exceeds(from: 1_400, to: 3_000))
    }

    /// Whatever the memory, what does not fit counts where it is known, and the memory of names is given back.
    @Test func pathsReadTakeTheirMemoryFromABudget() throws {
        let directory = try TemporaryDirectory()
        let many = try Self.tree((0..<200).map { ([("function\($0)")], 1, 5) })
        _ = try Self.merged([(many, Self.owner("alpha", 7, "web"))], in: directory)
        func read(_ bytes: Int) throws -> CallPaths {
            try CallPaths(
                ProfileSelection(),
                root: directory.path,
                budget: ReadingBudget(bytes: bytes)
            )
        }
        #expect(try read(16 << 20).callsBeyond == 0)
        let few = try read(8 << 20 + 40_000)
        #expect(few.totalNanoseconds == 1_000 && (1...199).contains(few.callsBeyond))
        let error = #expect(throws: TraceError.self) { try read(1_000) }
        #expect(error?.code == .exhausted)
    }

    /// Whatever a damaged file has, it is refused or read, and nothing else happens.
    @Test func damagedProfilesAreRefused() throws {
        let directory = try TemporaryDirectory()
        _ = try Self.merged(try Self.example(), in: directory)
        let path = "\(directory.path)/output/profile/profile_\(Self.stem).pb.gz"
        let reader = try RecordReader(path)
        var plain: [UInt8] = []
        while let bytes = try reader.next(count: 1) { plain.append(contentsOf: bytes) }
        #expect(plain.count > 100)
        var refused = 0
        for position in plain.indices {
            var damaged = plain
            damaged[position] ^= 0x55
            if position % 3 == 0 { damaged.removeSubrange(position...) }
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            do { _ = try CallPaths(ProfileSelection(), root: directory.path) } catch {
                #expect((error as? TraceError)?.code == .corrupt, "\(error)")
                refused += 1
            }
        }
        #expect(refused > plain.count / 4)
        try Data().write(to: URL(fileURLWithPath: path))
        #expect(try CallPaths(ProfileSelection(), root: directory.path).nodes.isEmpty)
    }

    // MARK: Reports

    private static func text(_ paths: CallPaths, _ format: FlameGraph.Format) throws -> Data {
        var data = Data()
        try FlameGraph(paths) { data.append(contentsOf: $0) }.write(format)
        return data
    }

    @Test func viewersGetTheSamePaths() throws {
        let directory = try TemporaryDirectory()
        let folded = try Self.merged(try Self.example(), in: directory)
        let paths = try CallPaths(ProfileSelection(), root: directory.path)
        let lines = folded.split(separator: "\n").filter { !$0.contains("(sampled)") }
        let own = String(decoding: try Self.text(paths, .folded), as: UTF8.self)
        #expect(own.split(separator: "\n") == lines)

        let speedscope = try #require(
            try JSONSerialization.jsonObject(with: try Self.text(paths, .speedscope))
                as? [String: Any]
        )
        let profile = try #require((speedscope["profiles"] as? [[String: Any]])?.first)
        let weights = try #require(profile["weights"] as? [Int])
        #expect(weights.reduce(0, +) == 397 && profile["endValue"] as? Int == 397)
        #expect((profile["samples"] as? [[Int]])?.count == weights.count && weights.count == 4)

        let tree = try #require(
            try JSONSerialization.jsonObject(with: try Self.text(paths, .json)) as? [String: Any]
        )
        func sum(_ node: [String: Any]) -> Int {
            let inside = (node["children"] as? [[String: Any]] ?? []).reduce(0) { $0 + sum($1) }
            let total = inside + (node["self_ns"] as? Int ?? 0)
            #expect(node["total_ns"] as? Int == total, "\(node["name"] ?? "")")
            return total
        }
        #expect(sum(tree) == 397)

        let svg = String(decoding: try Self.text(paths, .svg), as: UTF8.self)
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        #expect(svg.contains("main: 0.00 ms") && !svg.contains("<é>"))

        // A profile of the profile is the same.
        let again = try TemporaryDirectory()
        let root = "\(again.path)/output/profile"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Self.text(paths, .pprof).write(
            to: URL(fileURLWithPath: "\(root)/profile_\(Self.stem).pb.gz")
        )
        let copy = try CallPaths(ProfileSelection(), root: again.path)
        #expect(Self.lines(copy) == Self.lines(paths) && copy.covered == paths.covered)
    }

    @Test func functionsAddUpOverPaths() throws {
        let directory = try TemporaryDirectory()
        _ = try Self.merged(try Self.example(), in: directory)
        let paths = try CallPaths(ProfileSelection(), root: directory.path)
        let top = FunctionTotals.top(9, by: .self, in: paths)
        #expect(top.map { String(decoding: $0.name, as: UTF8.self) } == ["a;b", "main", "<é>"])
        #expect(top[1].calls == 8 && top[1].selfNanoseconds == 97)
        // A call inside itself is not counted twice.
        #expect(top[1].totalNanoseconds == 397 && top[0].totalNanoseconds == 307)
        #expect(FunctionTotals.top(1, by: .calls, in: paths).first?.calls == 8)
        #expect(FunctionTotals.top(1, by: .total, in: paths).first?.totalNanoseconds == 397)
    }

    @Test func whatGotSlowerComesFirst() {
        let path = { ["h", "p", $0].map { Array($0.utf8) } }
        var before = CallPaths()
        before.add(window: 0...1_000)
        before.add(path: path("steady"), calls: 1, nanoseconds: 500)
        before.add(path: path("gone"), calls: 1, nanoseconds: 10)
        var after = CallPaths()
        after.add(window: 0...4_000)
        after.add(path: path("steady"), calls: 4, nanoseconds: 2_000)
        after.add(path: path("new"), calls: 1, nanoseconds: 400)
        let differences = FunctionDifference.all(from: before, to: after)
        #expect(
            differences.map { String(decoding: $0.name, as: UTF8.self) } == [
                "new", "gone", "steady",
            ]
        )
        #expect(differences[0].difference == 0.1 && differences[0].before == nil)
        #expect(differences[1].difference == -0.01 && differences[1].after == nil)
        #expect(differences[2].difference == 0 && differences[2].after?.calls == 4)
    }
}
