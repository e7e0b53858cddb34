import SystemIO
import Testing
import TraceFiles
import TraceModel

@testable import ConsoleRole

/// Tests how findings become incidents.
@Suite struct IncidentListTests {
    private func add(
        _ second: Int,
        rule: String = "leak",
        pid: Int = 1,
        severity: Double = 0.5,
        to list: inout IncidentList
    ) throws {
        let text = """
            {"rule":"\(rule)","resource":"memory","host":"a","pid":\(pid),"process":"p",\
            "ts":\(second)000000,"value":\(second),"baseline":0,"score":1,"severity":\(severity),\
            "message":"at \(second)"}
            """
        try Array(text.utf8).withUnsafeBytes { list.add(try #require(AnomalyLine($0))) }
    }

    @Test func findingsThatFollowCloselyAreOneIncident() throws {
        var list = IncidentList(limit: 10)
        try add(100, to: &list)
        try add(160, severity: 0.9, to: &list)
        try add(161, pid: 2, to: &list)
        try add(162, rule: "other", to: &list)
        try add(221, to: &list)
        let incidents = list.newest()
        #expect(incidents.map { Int($0.begin / 1_000_000_000) } == [221, 162, 161, 100])
        #expect(incidents.map(\.count) == [1, 1, 1, 2])
        let last = try #require(incidents.last)
        #expect(last.end == 160_000_000_000)
        #expect(last.severity == 0.9)
        #expect(String(decoding: last.value, as: UTF8.self) == "160")
        #expect(String(decoding: last.message, as: UTF8.self) == "\"at 160\"")
        #expect((list.findings, list.total) == (5, 4))
    }

    @Test func theNewestAreKept() throws {
        var list = IncidentList(limit: 3)
        for number in 0..<500 { try add(number * 100, to: &list) }
        #expect(list.newest().map { Int($0.begin / 1_000_000_000) } == [49_900, 49_800, 49_700])
        #expect(list.total == 500)
    }

    @Test func openIncidentsAreBounded() throws {
        var list = IncidentList(limit: 1_000, openMax: 10)
        for number in 0..<100 { try add(number, pid: number, to: &list) }
        #expect(list.newest().count == 100)
    }
}
