import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import AggregatorRole

/// The saved marks of merged windows.
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
            let (marks, damage) = try journal.load()
            #expect(marks == Self.marks && damage == nil)
        }
    }

    /// Either the damage is told, or the byte was one that means nothing (gzip has some).
    @Test func everyChangedOrMissingByteIsToldOrMeansNothing() throws {
        try directory.asWorkingDirectory {
            let journal = WindowJournal()
            try journal.save(Self.marks)
            let whole = try FileSystem.contents(AggregatorPaths.windows)
            func expectTold(_ bytes: [UInt8], _ what: String) throws {
                try bytes.withUnsafeBytes { try FileSystem.publish(AggregatorPaths.windows, $0) }
                let (marks, damage) = try journal.load()
                if let damage {
                    #expect(damage.code == .corrupt && marks.isEmpty, "\(what)")
                    #expect(FileSystem.exists(AggregatorPaths.damaged(AggregatorPaths.windows)))
                    #expect(!FileSystem.exists(AggregatorPaths.windows))
                } else {
                    #expect(marks == Self.marks, "\(what)")
                }
            }
            for position in whole.indices {
                for bit in 0..<8 {
                    var damaged = whole
                    damaged[position] ^= 1 << UInt8(bit)
                    try expectTold(damaged, "bit \(bit) of byte \(position)")
                }
                try expectTold(Array(whole[..<position]), "cut at \(position)")
            }
        }
    }
}
