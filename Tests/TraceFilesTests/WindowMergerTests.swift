import Compression
import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Final files depend on the rows only, and a merge may be interrupted at any step.
struct WindowMergerTests {
    private struct Crash: Error {}

    private func outputs(of group: WorkerGroup) throws -> [String: Data] {
        try group.directory.files(below: "output").filter { !$0.key.hasPrefix(".merge/") }
    }

    @Test(arguments: [UInt64(0), 50_000, 4_000_000]) func outputIsIndependentOfTheDistribution(
        _ disorder: UInt64
    ) throws {
        let events = SyntheticEvent.make(800, seed: disorder + 9, disorderNanoseconds: disorder)
        var expected: [String: Data]?
        for workers in [1, 2, 5] {
            for budget in [FileBudget(), WorkerGroup.smallBudget] {
                let group = try WorkerGroup(workers, budget: budget)
                try group.apply(events)
                let paths = try group.merge(try group.close())
                let files = try outputs(of: group)
                #expect(Set(paths) == Set(files.keys.map { "output/\($0)" }))
                #expect(try group.directory.files(below: "segments").isEmpty)
                if let expected { #expect(files == expected) } else { expected = files }
            }
        }
        let names = try #require(expected).keys.sorted()
        let stem = WorkerGroup.stem
        #expect(names.contains("json/gpu_trace_\(stem).json"))
        #expect(names.contains("json/gpu_trace_\(stem)_beta.json"))
        #expect(names.contains("csv/gpu_trace_\(stem).csv"))
        #expect(names.contains("txt/stackmessage_\(stem)_this-machine.txt"))
        #expect(names.contains("txt/stackmessage_\(stem)_beta.folded"))
        #expect(names.contains("anomalies/anomalies_\(stem)_gpu.jsonl"))
        #expect(names.contains("anomalies/anomalies_\(stem)_gpu.csv"))
        // Four traces, four pairs of stack files, one table, one pair of anomaly files.
        #expect(names.count == 4 + 8 + 1 + 2)
    }

    @Test func everyRowIsWrittenOnceAndInOrder() throws {
        let events = SyntheticEvent.make(900, seed: 5, disorderNanoseconds: 500_000)
        let group = try WorkerGroup(3)
        try group.apply(events)
        try group.merge(try group.close())
        for (index, host) in SyntheticEvent.hosts.enumerated() {
            let suffix = index == 0 ? "" : "_\(SafeName.of(host))"
            let path =
                "\(group.directory.path)/output/json/gpu_trace_\(WorkerGroup.stem)\(suffix).json"
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            let document = try #require(
                try JSONSerialization.jsonObject(with: data) as? [String: Any]
            )
            let metadata = try #require(document["metadata"] as? [String: Any])
            let rows = try #require(document["traceEvents"] as? [[String: Any]])
            let numbers = rows.compactMap { ($0["args"] as? [String: Any])?["n"] as? Int }
            let mine = events.filter { $0.host == index }
            let sorted = mine.sorted { ($0.ts, $0.pid, $0.number) < ($1.ts, $1.pid, $1.number) }
            #expect(numbers == sorted.map(\.number))
            #expect(metadata["events"] as? Int == mine.count)
            #expect(metadata["base_time_ns"] as? Int64 == sorted[0].ts)
            #expect(metadata["host"] as? String == host)
            let named = rows.filter { $0["ph"] as? String == "M" }
            let threads = Set(mine.map { "\($0.pid).\($0.tid)" })
            #expect(named.count == Set(mine.map(\.pid)).count + threads.count)
        }
    }

    @Test func stackFilesFollowTheFormat() throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        let host = try manager.host("node", isThisMachine: true)
        for (ts, frames) in [(1_500, "b|c;d\n\nmain"), (1_000, "a\nmain"), (2_000, "b|c;d\nmain")] {
            withView("app") { process in
                withView(frames) {
                    manager.appendStack(
                        host: host,
                        ts: Int64(ts),
                        pid: 4,
                        process: process,
                        frames: $0
                    )
                }
            }
        }
        withView("\n\n") { blank in
            manager.appendStack(host: host, ts: 1, pid: 4, process: .empty, frames: blank)
        }
        try group.merge(try group.close())
        let files = try group.directory.files(below: "output/txt").mapValues {
            String(decoding: $0, as: UTF8.self)
        }
        let name = "stackmessage_\(WorkerGroup.stem)_this-machine"
        #expect(
            files["\(name).txt"] == """
                FORMAT|1.0
                METADATA|host=node|base_time_ns=1000|events=3|window=7|server=trace-processor \
                \(BuildInfo.version)
                HEADER|timestamp|pid|frame_count|[frames...]
                EVENT|0|4|2|a|main
                EVENT|500|4|2|b\\u007cc;d|main
                EVENT|1000|4|2|b\\u007cc;d|main

                """
        )
        #expect(files["\(name).folded"] == "app;main;a 1\napp;main;b|c:d 2\n")
    }

    @Test func foldedStacksSpill() throws {
        let directory = try TemporaryDirectory()
        func folded(_ bytesMax: Int) throws -> Data {
            let stacks = FoldedStacks(
                spillPrefix: "\(directory.path)/spill.",
                bytesMax: bytesMax,
                bufferBytes: 50
            )
            var random = SeededGenerator(seed: 1)
            for _ in 0..<500 {
                let frame = Array("frame \(random.next() % 60)".utf8)
                try frame.withUnsafeBytes { try stacks.add(process: $0, frames: [$0, $0]) }
            }
            let writer = try MergeWriter("\(directory.path)/out", bufferBytes: 100)
            try stacks.write(to: writer)
            try writer.finish()
            return try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/out"))
        }
        let inMemory = try folded(.max)
        #expect(try folded(700) == inMemory)
        #expect(try directory.files(below: "").keys.sorted() == ["out"])
    }

    /// Also with traces and tables of several files each.
    @Test(arguments: [([1, 2], Limits.finalFileBytesMax), ([2], 3_500)])
    func aMergeInterruptedAtAnyStepEndsInTheSameFiles(_ groups: [Int], _ fileBytesMax: Int) throws {
        let budget = WorkerGroup.smallFiles(fileBytesMax)
        let events = SyntheticEvent.make(80, seed: 3, disorderNanoseconds: 0)
        // With one worker some outputs are renamed segments; with two workers they are merged.
        for workers in groups {
            let whole = try WorkerGroup(workers, budget: budget)
            try whole.apply(events)
            var steps = 0
            let merger = whole.merger
            merger.onStep = { _ in steps += 1 }
            try whole.merge(try whole.close(), with: merger)
            let expected = try outputs(of: whole)
            #expect(steps > 20)
            for crashAt in 1...steps {
                let group = try WorkerGroup(workers, budget: budget)
                try group.apply(events)
                let files = try group.close()
                let dying = group.merger
                var step = 0
                dying.onStep = { _ in
                    step += 1
                    if step == crashAt { throw Crash() }
                }
                #expect(throws: Crash.self) { try group.merge(files, with: dying) }
                try group.merge(files)
                #expect(try outputs(of: group) == expected, "crash at step \(crashAt)")
                #expect(try group.directory.files(below: "segments").isEmpty)
                #expect(try group.isMerged(window: 7))
                // A repeated announcement changes nothing.
                try group.merge(files)
                #expect(try outputs(of: group) == expected)
                try FinalWindowRecords(root: group.directory.path).add(
                    FinalWindow(resource: .gpu, window: 7, finalAt: 1)
                )
                #expect(try !group.isMerged(window: 7))
            }
        }
    }

    @Test func aFinalFileTakenByAReaderBeforeACrashIsNoError() throws {
        let events = SyntheticEvent.make(80, seed: 3, disorderNanoseconds: 0)
        let group = try WorkerGroup(2)
        try group.apply(events)
        let files = try group.close()
        let root = group.directory.path
        let dying = group.merger
        var taken: [String] = []
        dying.onStep = { step in
            if case .renamed(let target) = step {
                try FileManager.default.removeItem(atPath: "\(root)/\(target)")
                taken.append(target)
            }
            if taken.count == 2 { throw Crash() }
        }
        #expect(throws: Crash.self) { try group.merge(files, with: dying) }
        try group.merge(files)
        #expect(try group.isMerged(window: 7))
        #expect(try !outputs(of: group).isEmpty)
        for target in taken {
            #expect(!FileManager.default.fileExists(atPath: "\(root)/\(target)"))
        }
    }

    /// A temporary file removed by someone else never became a final file.
    @Test func aMissingSourceInTheFirstRunIsAnError() throws {
        let group = try WorkerGroup(2)
        try group.apply(SyntheticEvent.make(80, seed: 3, disorderNanoseconds: 0))
        let files = try group.close()
        let root = group.directory.path
        let merger = group.merger
        merger.onStep = { step in
            guard case .manifestSynced = step else { return }
            let directory = "\(root)/output/json"
            for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
                try FileManager.default.removeItem(atPath: "\(directory)/\(name)")
            }
        }
        #expect(throws: TraceError.self) { try group.merge(files, with: merger) }
        #expect(try !group.isMerged(window: 7))
    }

    @Test(arguments: [1, 3]) func compressedFilesHaveTheSameContent(_ workers: Int) throws {
        let events = SyntheticEvent.make(700, seed: 3, disorderNanoseconds: 50_000)
        func merged(_ compression: FileCompression?) throws -> [String: Data] {
            let group = try WorkerGroup(workers)
            try group.apply(events)
            let merger = WindowMerger(
                localHostName: "this-machine",
                timeZoneName: "Europe/Berlin",
                root: group.directory.path,
                compression: compression,
                budget: group.budget
            )
            let paths = try group.merge(try group.close(), with: merger)
            let files = try outputs(of: group)
            #expect(Set(paths) == Set(files.keys.map { "output/\($0)" }))
            #expect(try group.directory.files(below: "segments").isEmpty)
            return files
        }
        let plain = try merged(nil)
        let compressed = try merged(.gzip)
        #expect(compressed.count == plain.count)
        for (name, data) in plain {
            guard name.hasPrefix("json/") || name.hasPrefix("csv/") else {
                #expect(compressed[name] == data)
                continue
            }
            let gzip = try #require(compressed["\(name).gz"])
            let expanded = try gzip.withUnsafeBytes { try Gzip.expand($0, limit: 1 << 24) }
            #expect(Data(expanded) == data, "\(name)")
        }
    }

    @Test func aBadByteInTheManifestIsDetected() throws {
        let group = try WorkerGroup(1)
        try group.apply(SyntheticEvent.make(20, seed: 3, disorderNanoseconds: 0))
        let files = try group.close()
        try group.merge(files)
        let path = "\(group.directory.path)/output/.merge/gpu_7"
        try FileSystem.remove(MergeManifest.mirror(of: path))
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for index in whole.indices {
            var bad = whole
            bad[index] ^= 1
            for damaged in [bad, whole[..<index]] {
                try damaged.write(to: URL(fileURLWithPath: path))
                #expect(throws: TraceError.self, "byte \(index)") { try group.merge(files) }
            }
        }
    }

    @Test func progressReachesTheTotal() throws {
        let group = try WorkerGroup(2, budget: FileBudget())
        try group.apply(SyntheticEvent.make(200, seed: 3, disorderNanoseconds: 0))
        let files = try group.close()
        var last: MergeProgress?
        _ = try group.merger.merge(resource: .gpu, window: 7, stem: WorkerGroup.stem, files: files)
        {
            #expect($0.bytesDone >= last?.bytesDone ?? 0)
            last = $0
        }
        let progress = try #require(last)
        #expect(progress.bytesTotal == files.reduce(0) { $0 + $1.bytes })
        #expect(progress.bytesDone <= progress.bytesTotal)
        #expect(progress.bytesDone > progress.bytesTotal * 9 / 10)
    }

    @Test func theHeaderDescribesTheWindowNotTheWorkersClose() throws {
        // A worker that retires closes before the barrier that defines the window's stem.
        let events = SyntheticEvent.make(50, seed: 3, disorderNanoseconds: 0)
        let group = try WorkerGroup(1)
        try group.apply(events)
        try group.merge(try group.managers[0].closeWindow(stem: "retired", nextWindow: 8))
        let usual = try WorkerGroup(1)
        try usual.apply(events)
        try usual.merge(try usual.close())
        #expect(try outputs(of: group) == outputs(of: usual))
    }

    @Test func localNamesNeverCollide() {
        func files(_ hosts: [(String, Bool)]) -> [ClosedFile] {
            hosts.map { name, isThisMachine in
                ClosedFile(
                    kind: .stacks,
                    worker: WorkerName(resource: .gpu, index: 0),
                    window: 1,
                    host: name,
                    isThisMachine: isThisMachine,
                    runs: []
                )
            }
        }
        let hosts = [
            ("::1", true), ("127.0.0.1", true), ("node", false), ("no/de", false), ("no:de", false),
        ]
        let names = OutputNames(
            resource: .gpu,
            stem: "s",
            files: files(hosts),
            localHostName: "node"
        )
        #expect(names.json(host: "127.0.0.1") == "output/json/gpu_trace_s.json")
        #expect(
            names.stacks(host: "127.0.0.1")
                == "output/txt/stackmessage_s_\(SafeName.ofThisMachine("node")).txt"
        )
        #expect(names.stacks(host: "node") == "output/txt/stackmessage_s_node.txt")
        #expect(Set(hosts.map { names.json(host: $0.0) }).count == hosts.count)
        let parts = (1...12).flatMap { part in hosts.map { names.json(host: $0.0, part: part) } }
        #expect(Set(parts).count == parts.count)
        let ofOne = (1...12).map { names.json(host: "node", part: $0) }
        #expect(ofOne == ofOne.sorted())
        #expect(Set(hosts.map { names.stacks(host: $0.0) }).count == hosts.count)
    }

    @Test func anEmptyWindowMakesNoFile() throws {
        let group = try WorkerGroup(2)
        let files = try group.close()
        #expect(files.isEmpty)
        #expect(try group.merge(files).isEmpty)
        #expect(try group.directory.files(below: "").isEmpty)
    }

    @Test func rowsOfAMovedProcessKeepTheirOrder() throws {
        // At one instant a process moves from worker 1 to worker 0 and back.
        let group = try WorkerGroup(2)
        let event = { (number: Int) in
            SyntheticEvent(host: 2, pid: 1, tid: 1, ts: SyntheticEvent.baseTime, number: number)
        }
        let (zero, one) = (group.managers[0], group.managers[1])
        try event(0).apply(to: one)
        try zero.beginEpoch(order: 100)
        try event(1).apply(to: zero)
        try one.beginEpoch(order: 200)
        try event(2).apply(to: one)
        try group.merge(try group.close())
        let path = "\(group.directory.path)/output/json/gpu_trace_\(WorkerGroup.stem)_beta.json"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let order = text.split(separator: "\n").compactMap { line -> Int? in
            line.firstRange(of: "\"n\":").flatMap {
                Int(line[$0.upperBound...].prefix { $0.isNumber })
            }
        }
        #expect(order == [0, 1, 2])
    }

    /// An output directory on another file system, where a rename fails.
    private func group(withOutputOn volume: String) throws -> (WorkerGroup, String) {
        let group = try WorkerGroup(1)
        let target = "\(volume)/trace-output-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        try FileSystem.createDirectory("\(group.directory.path)/segments")
        try FileManager.default.createSymbolicLink(
            atPath: "\(group.directory.path)/output",
            withDestinationPath: target
        )
        return (group, target)
    }

    @Test func outputMayBeOnAnotherFileSystem() throws {
        let events = SyntheticEvent.make(300, seed: 12, disorderNanoseconds: 0)
        let here = try WorkerGroup(1)
        try here.apply(events)
        try here.merge(try here.close())
        let expected = try outputs(of: here)

        let (group, target) = try group(withOutputOn: "/dev/shm")
        defer { try? FileManager.default.removeItem(atPath: target) }
        try group.apply(events)
        let closed = try group.close()
        // Simulates a crash before the first rename: only the manifest is left for the repeated merge.
        let dying = group.merger
        dying.onStep = { if case .manifestSynced = $0 { throw Crash() } }
        #expect(throws: Crash.self) { try group.merge(closed, with: dying) }
        try group.merge(closed)
        #expect(try group.directory.files(below: "segments").isEmpty)
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: target)
        where expected[name] != nil {
            files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(target)/\(name)"))
        }
        #expect(files == expected)
        let left = try FileManager.default.subpathsOfDirectory(atPath: target)
        #expect(!left.contains { $0.contains(".tmp-") })
    }
}
