import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Merges of a window in which a segment differs from what its worker announced.
struct DamagedSegmentTests {
    /// A closed window: its runs, and the rows of each output by the run that contains them.
    private struct Closed {
        let group: WorkerGroup
        let files: [ClosedFile]

        /// With one worker each output has a single run and is made by a rename.
        init(workers: Int, budget: FileBudget = FileBudget()) throws {
            group = try WorkerGroup(workers, budget: budget)
            try group.apply(SyntheticEvent.make(120, seed: 4, disorderNanoseconds: 50_000))
            files = try group.close()
        }

        var runs: [(kind: OutputKind, run: ClosedRun)] {
            files.flatMap { file in file.runs.map { (file.kind, $0) } }
        }

        func path(_ run: ClosedRun) -> String { "\(group.directory.path)/\(run.path)" }

        /// Merges the window and returns the losses.
        func merge() throws -> [SegmentLoss] {
            var losses: [SegmentLoss] = []
            _ = try group.merger.merge(
                resource: .gpu,
                window: 7,
                stem: WorkerGroup.stem,
                files: files,
                onLoss: { losses.append($0) }
            )
            return losses
        }

        /// The outputs except those of the given kinds.
        func outputs() throws -> [String: Data] {
            try group.directory.files(below: "output").filter { !$0.key.hasPrefix(".merge/") }
        }
    }

    private func damage(_ path: String, _ change: (inout [UInt8]) -> Void) throws {
        var bytes = try FileSystem.contents(path)
        change(&bytes)
        try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
    }

    /// Covers every kind of output, made by a rename and by merges of one and several passes, with a changed byte, a
    /// missing end and a missing file.
    @Test(arguments: [1, 2, 3]) func aDamagedRunIsSetAsideAndOtherRunsArePublished(
        _ workers: Int
    ) throws {
        let budgets = [FileBudget(), WorkerGroup.smallBudget, WorkerGroup.smallFiles(3_500)]
        let budget = budgets[workers - 1]
        var random = SeededGenerator(seed: UInt64(workers))
        let count = try Closed(workers: workers, budget: budget).runs.count
        for number in stride(from: 0, to: count, by: workers == 1 ? 1 : 5) {
            for way in 0..<3 {
                let closed = try Closed(workers: workers, budget: budget)
                let (kind, run) = closed.runs[number]
                let path = closed.path(run)
                // Every merge rewrites a trace's header.
                let begin = kind == .json ? JSONSegment.headerBytes : 0
                let offset = begin + Int(random.next() % UInt64(Int(run.bytes) - begin))
                switch way {
                case 0: try damage(path) { $0[offset] ^= 1 << UInt8(random.next() % 8) }
                case 1: try damage(path) { $0.removeLast($0.count - offset) }
                default: try FileSystem.remove(path)
                }
                let losses = try closed.merge()
                let what = "\(run.path), byte \(offset) of \(run.bytes), way \(way)"
                #expect(losses.map(\.path) == [run.path], "\(what)")
                #expect(losses.map(\.rows) == [run.rows], "\(what)")
                #expect((losses.first?.keptAt == nil) == (way == 2), "\(what)")
                if let kept = losses.first?.keptAt {
                    #expect(FileSystem.exists("\(closed.group.directory.path)/\(kept)"))
                }
                #expect(try closed.group.directory.files(below: "segments").isEmpty, "\(what)")
                for (name, data) in try closed.outputs() where name.hasSuffix(".json") {
                    #expect(throws: Never.self, "\(what): \(name)") {
                        _ = try JSONSerialization.jsonObject(with: data)
                    }
                }
                // A repeated merge reports the same.
                #expect(try closed.merge() == losses, "\(what)")
            }
        }
    }

    /// All damaged segments are reported at once, and nothing is merged; without the damage it is, with what replaces them.
    @Test(arguments: [1, 2]) func damageIsReportedBeforeItIsSetAside(_ workers: Int) throws {
        let whole = try Closed(workers: workers)
        _ = try whole.merge()
        let closed = try Closed(workers: workers)
        let chosen = closed.runs.enumerated().filter { $0.offset % 3 == 0 }.map(\.element)
        let paths = chosen.map(\.run.path)
        for (_, run) in chosen { try damage(closed.path(run)) { $0[$0.count - 3] ^= 16 } }
        func merge(_ files: [ClosedFile], replaced: [String] = []) throws {
            _ = try closed.group.merger.merge(
                resource: .gpu,
                window: 7,
                stem: WorkerGroup.stem,
                files: files,
                replaced: replaced,
                damage: .report,
                onLoss: { Issue.record("lost: \($0)") }
            )
        }
        let error = #expect(throws: DamagedSegments.self) { try merge(closed.files) }
        #expect(Set(error?.paths ?? []) == Set(paths))
        #expect(try closed.outputs().isEmpty)
        // The same rows elsewhere, as if they had been made again.
        for (_, run) in chosen {
            let path = "\(closed.group.directory.path)/elsewhere/\(run.path)"
            try FileSystem.createDirectory(FileSystem.parent(of: path))
            try FileSystem.copy(closed.path(run), to: path)
            try damage(path) { $0[$0.count - 3] ^= 16 }
        }
        let damaged = Set(paths)
        let files = closed.files.map { file in
            guard file.runs.contains(where: { damaged.contains($0.path) }) else { return file }
            for run in file.runs where !damaged.contains(run.path) {
                let path = "\(closed.group.directory.path)/elsewhere/\(run.path)"
                try? FileSystem.createDirectory(FileSystem.parent(of: path))
                try? FileSystem.copy(closed.path(run), to: path)
            }
            return file.moved(below: "elsewhere")
        }
        let moved = zip(closed.files, files).filter { $0 != $1 }.flatMap { $0.0.runs.map(\.path) }
        try merge(files, replaced: moved)
        #expect(try closed.outputs() == whole.outputs())
        #expect(try closed.group.directory.files(below: "segments").isEmpty)
        #expect(try closed.group.directory.files(below: "elsewhere").isEmpty)
    }

    /// The rows of the other runs are published as if the damaged run had never existed.
    @Test func allOtherRowsArePublished() throws {
        let whole = try Closed(workers: 2)
        _ = try whole.merge()
        let expected = try whole.outputs()
        let damaged = try Closed(workers: 2)
        let run = try #require(damaged.runs.first { $0.kind == .csv }).run
        try damage(damaged.path(run)) { $0[$0.count / 2] ^= 4 }
        #expect(try damaged.merge().count == 1)
        let found = try damaged.outputs()
        #expect(found.keys == expected.keys)
        for (name, data) in found {
            if name.hasPrefix("csv/") {
                #expect(lines(data) == lines(expected[name] ?? Data()) - Int(run.rows))
            } else {
                #expect(data == expected[name], "\(name)")
            }
        }
    }

    /// A worker starts although its open runs are damaged, and the window's other rows are published.
    @Test(arguments: [true, false]) func aWorkerStartsWithDamagedSegments(_ isRemoved: Bool) throws
    {
        let directory = try TemporaryDirectory()
        var manager = try WorkerGroup.manager(0, in: directory)
        try manager.restore(from: nil)
        manager.openWindow(7)
        let events = SyntheticEvent.make(60, seed: 8, disorderNanoseconds: 0)
        for event in events[..<30] { try event.apply(to: manager) }
        try manager.flush(.all)
        try manager.sync()
        var state = RawBuffer()
        manager.saveOffsets(into: &state)
        for (name, content) in try directory.files(below: "segments") {
            let path = "\(directory.path)/segments/\(name)"
            try FileSystem.remove(path)
            if isRemoved { continue }
            try Array(content.dropLast()).withUnsafeBytes { try FileSystem.publish(path, $0) }
        }
        manager = try WorkerGroup.manager(0, in: directory)
        try manager.restore(from: ByteView(state.bytes))
        #expect(!manager.damagedSegments.isEmpty)
        for event in events[30...] { try event.apply(to: manager) }
        let files = try manager.closeWindow(stem: WorkerGroup.stem, nextWindow: 8)
        var losses: [SegmentLoss] = []
        let merger = WindowMerger(
            localHostName: "this-machine",
            timeZoneName: "Europe/Berlin",
            root: directory.path
        )
        _ = try merger.merge(
            resource: .gpu,
            window: 7,
            stem: WorkerGroup.stem,
            files: files,
            onLoss: { losses.append($0) }
        )
        #expect(Set(losses.map(\.path)) == Set(manager.damagedSegments))
        let table = try #require(try directory.files(below: "output/csv").first?.value)
        #expect(lines(table) == 1 + 30)
    }

    /// The number of lines of a table with its header: line ends outside quotes.
    private func lines(_ table: Data) -> Int {
        var isQuoted = false
        var count = 0
        for byte in table {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if byte == UInt8(ascii: "\n"), !isQuoted { count += 1 }
        }
        return count
    }

    /// One intact copy of a merge's manifest is enough, whatever the damage to the other one.
    @Test func aDamagedManifestIsReadFromItsMirror() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/manifest"
        var manifest = MergeManifest()
        manifest.outputs = [MergeManifest.Output(source: "a", target: "b", bytes: 3)]
        manifest.losses = [
            SegmentLoss(path: "c", rows: 1, bytes: 2, keptAt: nil),
            SegmentLoss(path: "d", rows: 3, bytes: 4, keptAt: "damaged/d"),
        ]
        try manifest.publish(to: path)
        let whole = try FileSystem.contents(path)
        for copy in [path, MergeManifest.mirror(of: path)] {
            for position in whole.indices {
                var damaged = whole
                damaged[position] ^= 1 << UInt8(position % 8)
                for bytes in [damaged, Array(whole[..<position])] {
                    try bytes.withUnsafeBytes { try FileSystem.publish(copy, $0) }
                    #expect(try MergeManifest(contentsOf: path) == manifest)
                }
            }
            try FileSystem.remove(copy)
            #expect(try MergeManifest(contentsOf: path) == manifest)
            try whole.withUnsafeBytes { try FileSystem.publish(copy, $0) }
        }
    }

    /// Nothing has been renamed before the second copy was written, so the merge can begin anew.
    @Test func aDamagedManifestWithoutASecondCopyIsNone() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/manifest"
        let segment = "\(directory.path)/segment"
        try Array("rows".utf8).withUnsafeBytes { try FileSystem.publish(segment, $0) }
        func begun() throws -> MergeManifest? {
            try MergeManifest.begun(at: path, segments: [segment])
        }
        #expect(try begun() == nil)
        var manifest = MergeManifest()
        manifest.segments = ["a"]
        try manifest.publish(to: path)
        #expect(try begun() == manifest)
        let damaged = try FileSystem.contents(path).dropLast(3)
        try Array(damaged).withUnsafeBytes { try FileSystem.publish(path, $0) }
        #expect(try begun() == manifest)
        let mirror = MergeManifest.mirror(of: path)
        try Array(damaged).withUnsafeBytes { try FileSystem.publish(mirror, $0) }
        #expect(throws: TraceError.self) { try begun() }
        try FileSystem.remove(mirror)
        #expect(try begun() == nil)
        // A merge that has come further can't.
        try FileSystem.remove(segment)
        #expect(throws: TraceError.self) { try begun() }
        // Records of final files have one copy, whose damage is said.
        #expect(throws: TraceError.self) { try MergeManifest(contentsOf: path) }
    }
}
