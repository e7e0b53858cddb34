import Foundation
import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// Tests that the charts' points survive a restart, and damage to their files.
@Suite final class ChartArchiveTests {
    private let directory = NSTemporaryDirectory() + "charts-" + UUID().uuidString

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private static func sample(_ value: Float) -> [ChartSampler.Sample] {
        let values = ChartMeasure.allCases.map { $0 == .cpu ? value : Float.nan }
        return [ChartSampler.Sample(host: nil, values: values)]
    }

    private func points(_ history: ChartHistory, _ seconds: Range<Int64>) -> [Float?] {
        history.points(
            .cpu,
            host: nil,
            from: seconds.lowerBound,
            count: seconds.count,
            step: 1,
            .second
        ).map { $0.isNaN ? nil : $0 }
    }

    /// Runs from `seconds`, with a save each minute and at the end.
    private func run(_ seconds: Range<Int64>, expectingDamage: Bool = false) throws -> ChartHistory
    {
        var archive = ChartArchive(directory: directory)
        var (history, damages) = archive.load()
        #expect(damages.isEmpty != expectingDamage)
        for second in seconds {
            history.append(Self.sample(Float(second)), at: second)
            if second % 60 == 59 { try archive.save(history) }
        }
        try archive.save(history)
        return history
    }

    @Test func pointsSurviveRestarts() throws {
        _ = try run(36_000..<36_090)
        _ = try run(36_100..<36_130)
        let history = try run(39_700..<39_710)
        let expected = (36_111..<39_710).map { second -> Float? in
            (36_130..<39_700).contains(second) ? nil : Float(second)
        }
        #expect(points(history, 36_111..<39_710) == expected)
        let loaded = try run(0..<0)
        #expect(points(loaded, 36_111..<39_710) == expected)
    }

    @Test func oldFilesAreRemoved() throws {
        _ = try run(36_000..<36_060)
        _ = try run(200_000..<200_060)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
        #expect(Set(names) == ["1s-\(200_000 / 3_600).points", "10s-\(200_000 / 21_600).points"])
    }

    @Test func whatFollowsADamagedRecordIsWrittenAnew() throws {
        _ = try run(36_000..<36_180)
        let path = directory + "/1s-10.points"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        let history = try run(36_180..<36_240, expectingDamage: true)
        #expect(points(history, 36_059..<36_062) == [36_059, nil, nil])
        let loaded = try run(0..<0)
        #expect(points(loaded, 36_059..<36_061) == [36_059, nil])
        #expect(points(loaded, 36_238..<36_240) == [36_238, 36_239])
    }
}

@Suite struct SeriesQueryTests {
    private static func query(_ parameters: [(String, String)]) throws -> SeriesQuery {
        try SeriesQuery(parameters.map { (name: $0.0, value: $0.1) }, now: 100_000)
    }

    @Test func anHourIsTheDefault() throws {
        let query = try Self.query([])
        #expect(query.measures == ChartMeasure.allCases)
        #expect(query.first == 96_396 && query.step == 6 && query.resolution == .second)
        #expect(query.first + Int64(query.count) * query.step >= 100_000)
    }

    @Test func whatIsOlderThanAnHourHasTenSeconds() throws {
        let query = try Self.query([
            ("name", "cpu"), ("host", "a b"), ("from", "90005"), ("to", "90100"), ("step", "1"),
        ])
        #expect(query.measures == [.cpu] && query.host == "a b")
        #expect(query.resolution == .tenSeconds && query.step == 10)
        #expect(query.first == 90_000 && query.count == 10)
    }

    @Test(arguments: [
        [("name", "cpus")], [("from", "x")], [("from", "5"), ("to", "5")], [("step", "0")],
        [("to", "-1")], [("pid", "7")], [("from", "0"), ("to", "100100"), ("step", "1")],
    ])
    func whatCanNotBeAnsweredIsRefused(_ parameters: [(String, String)]) {
        #expect(throws: TraceError.self) { try Self.query(parameters) }
    }
}
