import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Findings are handed out before their window ends, as lines of its file.
struct RecentFindingsTests {
    private static func lines(_ parts: [FindingLines]) -> [String] {
        parts.flatMap {
            String(decoding: $0.lines, as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }

    @Test func theyAreTheLinesOfTheFileAndRepeatTheirNumbersAfterARestart() throws {
        let directory = try TemporaryDirectory()
        var manager = try WorkerGroup.manager(0, in: directory)
        try manager.restore(from: nil)
        manager.openWindow(7)
        let events = SyntheticEvent.make(1_000, seed: 8, disorderNanoseconds: 5_000_000_000)
        for event in events[..<500] { try event.apply(to: manager) }
        try manager.flush(.all)
        try manager.sync()
        var state = RawBuffer()
        manager.saveOffsets(into: &state)
        let first = manager.takeRecentFindings()
        #expect(manager.takeRecentFindings().isEmpty && !manager.hasRecentFindings)
        let firstCount = first.reduce(0) { $0 + $1.count }
        #expect(first.map(\.window) == [7] && first[0].first == 0 && firstCount > 10)
        for event in events[500..<600] { try event.apply(to: manager) }
        let lost = manager.takeRecentFindings()
        #expect(lost.first?.first == firstCount)
        manager = try WorkerGroup.manager(0, in: directory)
        try manager.restore(from: ByteView(state.bytes))
        for event in events[500..<600] { try event.apply(to: manager) }
        #expect(manager.takeRecentFindings() == lost)
        for event in events[600...] { try event.apply(to: manager) }
        let rest = manager.takeRecentFindings()
        var found: [String] = []
        for file in try manager.closeWindow(stem: WorkerGroup.stem, nextWindow: 8)
        where file.kind == .anomalies {
            for run in file.runs {
                let text = try Data(
                    contentsOf: URL(fileURLWithPath: "\(directory.path)/\(run.path)")
                )
                for part in text.split(separator: UInt8(ascii: "\n")) {
                    let start = Data("{\"rule\"".utf8)
                    guard let from = part.range(of: start)?.lowerBound else { continue }
                    found.append(String(decoding: part[from...], as: UTF8.self))
                }
            }
        }
        #expect(found.sorted() == Self.lines(first + lost + rest).sorted())
        for event in events[..<100] { try event.apply(to: manager) }
        #expect(manager.takeRecentFindings().map { [$0.window, $0.first] } == [[8, 0]])
    }

    @Test func theirBytesAreBounded() {
        var findings = RecentFindings()
        let line = Array(repeating: UInt8(ascii: "x"), count: 999) + [UInt8(ascii: "\n")]
        for number in 0..<100 {
            line.withUnsafeBytes { findings.add($0, window: 3, number: UInt64(number)) }
        }
        // What is taken makes room; the gap in the numbers shows that some were left out.
        let full = findings.take()
        #expect(full.count == 1 && full[0].lines.count <= Limits.recentFindingsBytesMax)
        #expect(full[0].count == UInt64(Limits.recentFindingsBytesMax / line.count))
        for number in [100, 101, 103] {
            line.withUnsafeBytes { findings.add($0, window: 3, number: UInt64(number)) }
        }
        #expect(findings.take().map { [$0.first, $0.count] } == [[100, 2], [103, 1]])
    }
}
