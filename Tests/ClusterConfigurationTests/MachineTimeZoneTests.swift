import Foundation
import TestSupport
import Testing

@testable import ClusterConfiguration

/// What /etc/localtime can be, in a directory that stands for /etc and the zones of this machine (package tzdata).
struct MachineTimeZoneTests {
    private let directory: TemporaryDirectory
    private let zones = "/usr/share/zoneinfo"

    init() throws { directory = try TemporaryDirectory() }

    private var localtime: String { "\(directory.path)/localtime" }

    private func name(timezone: String? = nil) throws -> String {
        let file = "\(directory.path)/timezone"
        if let timezone { try Data("\(timezone)\n".utf8).write(to: URL(fileURLWithPath: file)) }
        return MachineTimeZone(localtime: localtime, timezone: file, zones: zones).name
    }

    private func copy(_ zone: String) throws {
        try FileManager.default.copyItem(atPath: "\(zones)/\(zone)", toPath: localtime)
    }

    @Test func aLinkNamesTheZone() throws {
        try FileManager.default.createSymbolicLink(
            atPath: localtime,
            withDestinationPath: "\(zones)/Europe/Berlin"
        )
        #expect(try name(timezone: "Etc/UTC") == "Europe/Berlin")
    }

    @Test func aPlainFileIsRecognisedByWhatItHolds() throws {
        try copy("Asia/Kolkata")
        #expect(try name(timezone: "Etc/UTC") == "Asia/Kolkata")
        #expect(try name(timezone: "Asia/Kolkata") == "Asia/Kolkata")
    }

    @Test func ofSeveralNamesTheMachinesOwnIsTaken() throws {
        try copy("Asia/Kolkata")
        #expect(try name(timezone: "Asia/Calcutta") == "Asia/Calcutta")
    }

    @Test func withoutANameTheFileItselfIsTheZone() throws {
        let rules = "TZif2 of another machine"
        try Data(rules.utf8).write(to: URL(fileURLWithPath: localtime))
        #expect(try name(timezone: "Europe/Berlin") == localtime)
    }

    @Test func withoutTheFileTheClockShowsUTC() throws {
        #expect(try name(timezone: "Europe/Berlin") == "UTC")
    }
}
