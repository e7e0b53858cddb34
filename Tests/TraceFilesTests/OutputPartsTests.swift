import Compression
import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Traces and tables that are too large for one file.
struct OutputPartsTests {
    private static let bytesMax = 9_000

    /// The contents of the files under `json` and `csv`, by name.
    private func files(of group: WorkerGroup) throws -> [String: Data] {
        try group.directory.files(below: "output").filter {
            $0.key.hasPrefix("json/") || $0.key.hasPrefix("csv/")
        }
    }

    private func merged(
        _ events: [SyntheticEvent],
        workers: Int,
        budget: FileBudget,
        compression: FileCompression? = nil
    ) throws -> WorkerGroup {
        let group = try WorkerGroup(workers, budget: budget)
        try group.apply(events)
        let merger = WindowMerger(
            localHostName: "this-machine",
            timeZoneName: "Europe/Berlin",
            root: group.directory.path,
            compression: compression,
            budget: budget
        )
        let paths = try group.merge(try group.close(), with: merger)
        let all = try group.directory.files(below: "output").keys.filter { !$0.hasPrefix(".merge") }
        #expect(Set(paths) == Set(all.map { "output/\($0)" }))
        #expect(try group.directory.files(below: "segments").isEmpty)
        return group
    }

    private func document(_ data: Data) throws -> (metadata: [String: Any], rows: [[String: Any]]) {
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        return (
            try #require(object["metadata"] as? [String: Any]),
            try #require(object["traceEvents"] as? [[String: Any]])
        )
    }

    @Test(arguments: [UInt64(0), 4_000_000]) func partsAreBoundedAndIndependentOfTheDistribution(
        _ disorder: UInt64
    ) throws {
        let events = SyntheticEvent.make(900, seed: disorder + 2, disorderNanoseconds: disorder)
        var expected: [String: Data]?
        for workers in [1, 2, 5] {
            var large = FileBudget()
            large.finalFileBytesMax = Self.bytesMax
            for budget in [large, WorkerGroup.smallFiles(Self.bytesMax)] {
                let group = try merged(events, workers: workers, budget: budget)
                let files = try files(of: group)
                if let expected { #expect(files == expected) } else { expected = files }
            }
        }
        let files = try #require(expected)
        for (name, data) in files { #expect(data.count <= Self.bytesMax, "\(name)") }
        #expect(files["json/gpu_trace_\(WorkerGroup.stem)~002.json"] != nil)
        #expect(files["csv/gpu_trace_\(WorkerGroup.stem)~003.csv"] != nil)
    }

    @Test func partsContainEveryRowOnceInOrderAndItsNames() throws {
        let events = SyntheticEvent.make(900, seed: 5, disorderNanoseconds: 500_000)
        let group = try merged(events, workers: 2, budget: WorkerGroup.smallFiles(Self.bytesMax))
        let files = try files(of: group)
        for (index, host) in SyntheticEvent.hosts.enumerated() {
            let suffix = index == 0 ? "" : "_\(SafeName.of(host))"
            let stem = "json/gpu_trace_\(WorkerGroup.stem)\(suffix)"
            let parts = files.keys.filter { $0 == "\(stem).json" || $0.hasPrefix("\(stem)~") }
            #expect(parts.count > 1)
            var numbers: [Int] = []
            for (position, name) in parts.sorted().enumerated() {
                let (metadata, rows) = try document(try #require(files[name]))
                #expect(metadata["part"] as? Int == position + 1)
                #expect(metadata["events"] == nil)
                #expect(metadata["host"] as? String == host)
                let own = rows.compactMap { ($0["args"] as? [String: Any])?["n"] as? Int }
                let first = try #require(events.first { $0.number == own.first })
                #expect(metadata["base_time_ns"] as? Int64 == first.ts)
                numbers += own
                let held = events.filter { own.contains($0.number) }
                let named = rows.filter { $0["ph"] as? String == "M" }
                let threads = Set(held.map { "\($0.pid).\($0.tid)" })
                #expect(named.count == Set(held.map(\.pid)).count + threads.count)
            }
            let mine = events.filter { $0.host == index }
            let sorted = mine.sorted { ($0.ts, $0.pid, $0.number) < ($1.ts, $1.pid, $1.number) }
            #expect(numbers == sorted.map(\.number))
        }
        let traces = files.keys.filter { $0.hasPrefix("json/") }.map {
            "\(group.directory.path)/output/\($0)"
        }
        let check = try TraceCheck.run(traces)
        #expect(check.code == 0, "\(check.output)")
    }

    private func expand(_ data: Data, _ compression: FileCompression) throws -> Data {
        var rest = Array(data)[...]
        let reader = try ExpandingReader(compression) { chunk in
            let piece = rest.prefix(chunk.count)
            chunk.copyBytes(from: piece)
            rest = rest.dropFirst(piece.count)
            return piece.count
        }
        var expanded = Data()
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while case let count = try reader.read(into: &chunk), count > 0 {
            expanded.append(contentsOf: chunk[..<count])
        }
        return expanded
    }

    private func events(of group: WorkerGroup) throws -> Data {
        var data = Data()
        let reader = TraceFileReader(TraceSelection(resource: .gpu), root: group.directory.path) {
            data.append(contentsOf: $0)
        }
        try reader.writeJSON()
        try reader.writeCSV()
        return data
    }

    @Test(arguments: FileCompression.allCases) func compressedPartsHaveTheSameContent(
        _ compression: FileCompression
    ) throws {
        let events = SyntheticEvent.make(500, seed: 6, disorderNanoseconds: 50_000)
        let budget = WorkerGroup.smallFiles(Self.bytesMax)
        let plain = try merged(events, workers: 2, budget: budget)
        let packed = try merged(events, workers: 1, budget: budget, compression: compression)
        let (whole, compressed) = (try files(of: plain), try files(of: packed))
        let suffix = compression.suffix
        #expect(Set(compressed.keys) == Set(whole.keys.map { $0 + suffix }))
        for (name, data) in whole {
            let file = try #require(compressed[name + suffix])
            #expect(file.count < data.count)
            #expect(try expand(file, compression) == data, "\(name)")
        }
        #expect(try self.events(of: packed) == self.events(of: plain))
    }

    @Test func anOutputOfExactlyTheLimitIsOneFile() throws {
        let events = SyntheticEvent.make(200, seed: 7, disorderNanoseconds: 0)
        let whole = try files(of: try merged(events, workers: 2, budget: WorkerGroup.smallBudget))
        let stem = "gpu_trace_\(WorkerGroup.stem)"
        for name in ["json/\(stem).json", "csv/\(stem).csv"] {
            let data = try #require(whole[name])
            for workers in [1, 3] {
                let exact = try merged(
                    events,
                    workers: workers,
                    budget: WorkerGroup.smallFiles(data.count)
                )
                #expect(try files(of: exact)[name] == data)
                let tight = try merged(
                    events,
                    workers: workers,
                    budget: WorkerGroup.smallFiles(data.count - 1)
                )
                let second = name.replacing(/\.(json|csv)$/) { "~002.\($0.1)" }
                #expect(try files(of: exact)[second] == nil, "\(name)")
                #expect(try files(of: tight)[second] != nil, "\(name)")
            }
        }
    }

    @Test func allPartsAreRemovedWithTheirWindow() throws {
        let events = SyntheticEvent.make(300, seed: 8, disorderNanoseconds: 0)
        let group = try merged(events, workers: 2, budget: WorkerGroup.smallFiles(4_000))
        let window = FinalWindow(resource: .gpu, window: 7, finalAt: 1)
        let records = FinalWindowRecords(root: group.directory.path)
        try records.add(window)
        #expect(try records.remove(window).files > 20)
        #expect(try group.directory.files(below: "output").isEmpty)
    }

    // MARK: Calls

    /// Nested calls of two processes with two threads each. Every 32nd call never ends.
    private func calls(_ count: Int, to group: WorkerGroup) throws {
        var random = SeededGenerator(seed: 4)
        var open: [Int: [Int]] = [:]
        for number in 0..<count {
            let thread = Int(random.next() % 4)
            let pid = UInt32(1 + thread / 2)
            let manager = group.managers[(thread / 2) % group.managers.count]
            let rows = manager.json(try manager.host("a"))
            let ts = SyntheticEvent.baseTime + Int64(number / 3) * 1_000
            let ends = random.next() % 5 > 1 ? open[thread, default: []].popLast() : nil
            rows.text.appendEventStart(ts: ts, pid: pid)
            rows.text.append(
                """
                "tid":\(thread),"ph":"\(ends == nil ? "B" : "E")","cat":"function",\
                "name":"call \\"\((ends ?? number) % 5)\\"","readable_time":"10:00:00.000",\
                "args":{\(ends == nil ? "" : "\"duration\":0.25,")"cookie":\(ends ?? number)}}
                """
            )
            rows.endRow(ts: ts, pid: pid)
            if ends == nil, number % 32 != 0 { open[thread, default: []].append(number) }
            if manager.needsFlush { try manager.flush(.full) }
        }
    }

    private func merged(calls count: Int, bytesMax: Int, workers: Int = 2) throws -> WorkerGroup {
        let group = try WorkerGroup(workers, budget: WorkerGroup.smallFiles(bytesMax))
        try calls(count, to: group)
        try group.merge(try group.close())
        return group
    }

    private func read(_ group: WorkerGroup) throws -> [String] {
        var data = Data()
        let reader = TraceFileReader(TraceSelection(resource: .gpu), root: group.directory.path) {
            data.append(contentsOf: $0)
        }
        try reader.writeJSON()
        return String(decoding: data, as: UTF8.self).split(separator: "\n").map {
            $0.last == "," ? String($0.dropLast()) : String($0)
        }
    }

    @Test func callsOpenAtTheCutBeginTheNextPart() throws {
        let group = try merged(calls: 700, bytesMax: 30_000)
        let whole = try merged(calls: 700, bytesMax: 1 << 20, workers: 1)
        let parts = try files(of: group).sorted { $0.key < $1.key }
        #expect(parts.count > 3)
        #expect(try files(of: whole).count == 1)
        for (name, data) in parts {
            #expect(data.count <= 30_000, "\(name)")
            var open: [String] = []
            for row in try document(data).rows {
                let call = "\(row["pid"] ?? "") \((row["args"] as? [String: Any])?["cookie"] ?? "")"
                if row["ph"] as? String == "B" { open.append(call) }
                guard row["ph"] as? String == "E" else { continue }
                let position = try #require(open.lastIndex(of: call), "\(name): \(call) has no B")
                open.remove(at: position)
            }
        }
        // Read back, each call begins once.
        #expect(try read(group) == read(whole))
        let alone = try merged(calls: 700, bytesMax: 30_000, workers: 1)
        #expect(try files(of: alone) == files(of: group))
        let check = try TraceCheck.run(parts.map { "\(group.directory.path)/output/\($0.key)" })
        #expect(check.code == 0, "\(check.output)")
        #expect(!check.output.contains("E without B"))
    }

    /// With more open calls than a file has room to repeat, the file stays within its limit.
    @Test func repeatedCallsAreBounded() throws {
        let parts = try files(of: try merged(calls: 1_500, bytesMax: 6_000))
        #expect(parts.count > 20)
        for (name, data) in parts {
            #expect(data.count <= 6_000, "\(name)")
            let rows = try document(data).rows
            let repeated = rows.filter { $0["cat"] as? String == "continued" }
            #expect(repeated.count <= 6_000 / 4 / 160)
            #expect(rows.count > repeated.count)
        }
    }
}
