import Compression
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import AggregatorRole
@testable import TraceFiles

/// Tests the saved marks of merged windows.
@Suite struct WindowJournalTests {
    private let directory: TemporaryDirectory
    private static let marks: [Resource: MergedMark] = [
        .io: MergedMark(window: 7, barrierLSN: 4_096, files: ["output/csv/io_trace_s.csv"]),
        .gpu: MergedMark(window: 6, barrierLSN: 2_048, files: []),
    ]

    init() throws { directory = try TemporaryDirectory() }

    @Test func marksComeBack() throws {
        try directory.asWorkingDirectory {
            let journal = WindowJournal()
            #expect(try journal.load().marks.isEmpty)
            try journal.save(Self.marks)
            let saved = try journal.load()
            #expect(saved.marks == Self.marks && saved.healed == nil && saved.lost == nil)
        }
    }

    private func publish(_ bytes: [UInt8], _ path: String = AggregatorPaths.windows) throws {
        try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
    }

    @Test func everyChangedOrMissingByteOfACopyIsHealed() throws {
        try directory.asWorkingDirectory {
            let journal = WindowJournal()
            try journal.save(Self.marks)
            let whole = try FileSystem.contents(AggregatorPaths.windows)
            for path in [AggregatorPaths.windows, AggregatorPaths.windows + ".mirror"] {
                func expectHealed(_ bytes: [UInt8], _ what: String) throws {
                    try publish(bytes, path)
                    let saved = try journal.load()
                    #expect(saved.marks == Self.marks && saved.lost == nil, "\(what)")
                    #expect(saved.healed?.contains(path) == true, "\(what)")
                    #expect(try FileSystem.contents(path) == whole)
                }
                for position in whole.indices {
                    var damaged = whole
                    damaged[position] ^= 1 << UInt8(position % 8)
                    try expectHealed(damaged, "byte \(position)")
                    try expectHealed(Array(whole[..<position]), "cut at \(position)")
                }
            }
        }
    }

    /// The earlier version's file: one copy, gzip-compressed JSON.
    @Test func marksOfAVersionBeforeAreRead() throws {
        try directory.asWorkingDirectory {
            let text = "{\"io\":{\"window\":7,\"barrierLSN\":4096,\"files\":[\"f\"]}}"
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            try publish(try Array(text.utf8).withUnsafeBytes { try Gzip.compress($0) })
            for _ in 0..<2 {
                let saved = try WindowJournal().load()
                #expect(
                    saved.marks == [.io: MergedMark(window: 7, barrierLSN: 4_096, files: ["f"])]
                )
                #expect(saved.lost == nil)
            }
        }
    }

    /// If no copy is sound, the records of final files provide the merged windows.
    @Test func lostMarksAreRebuiltFromTheRecordsOfFinalFiles() throws {
        try directory.asWorkingDirectory {
            let records = FinalWindowRecords()
            for window in [UInt64(3), 9, 10] {
                var manifest = MergeManifest()
                manifest.isDone = true
                manifest.outputs = [
                    MergeManifest.Output(source: "s", target: "output/w\(window)", bytes: 1)
                ]
                try FileSystem.createDirectory(MergeManifest.directory)
                try manifest.publish(to: MergeManifest.path(.cpu, window: window))
                try records.add(FinalWindow(resource: .cpu, window: window, finalAt: 5))
            }
            let journal = WindowJournal()
            // A directory in which only the output is left starts from the beginning.
            #expect(try journal.load().marks.isEmpty)
            try journal.save(Self.marks)
            for path in [AggregatorPaths.windows, AggregatorPaths.windows + ".mirror"] {
                try publish([1, 2, 3], path)
            }
            let proven: [Resource: MergedMark] = [
                .cpu: MergedMark(window: 10, barrierLSN: nil, files: ["output/w10"])
            ]
            let saved = try journal.load()
            #expect(saved.marks == proven && saved.lost?.code == .corrupt)
            #expect(try journal.load().marks == proven)
            // The marks are removed, but a worker's checkpoint exists.
            for path in [AggregatorPaths.windows, AggregatorPaths.windows + ".mirror"] {
                try FileSystem.remove(path)
            }
            try publish([], ClusterPaths.checkpoint(of: WorkerName(resource: .cpu, index: 0)))
            #expect(try journal.load().marks == proven)
        }
    }
}
