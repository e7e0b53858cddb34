import Foundation
import TestSupport
import Testing
import TraceModel

@testable import ClusterConfiguration

/// What scripts/cluster keeps from one start to the next.
struct RememberedSettingsTests {
    private let directory: TemporaryDirectory
    private var path: String { "\(directory.path)/run/cluster.conf" }

    init() throws {
        directory = try TemporaryDirectory()
        for name in ["run", "checkpoints"] {
            try FileManager.default.createDirectory(
                atPath: "\(directory.path)/\(name)",
                withIntermediateDirectories: true
            )
        }
    }

    /// Returns the settings with the messages about them.
    private func load() throws -> (settings: RememberedSettings, warnings: [String]) {
        var warnings: [String] = []
        let settings = try RememberedSettings.load(from: directory.path) { warnings.append($0) }
        return (settings, warnings)
    }

    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    @Test func aNewDirectoryHasNone() throws {
        let (settings, warnings) = try load()
        #expect(settings.owners == nil && settings.possibleOwners == nil && settings.others.isEmpty)
        #expect(settings.workers.values.allSatisfy { $0 == 1 } && settings.workers.count == 6)
        #expect(warnings.isEmpty && !FileManager.default.fileExists(atPath: path))
    }

    @Test func whatIsSavedIsLoaded() throws {
        let others = ["retain_age=1d", "config=/etc/a file.json"]
        try RememberedSettings(owners: [.cpu: 2], scaling: [.cpu: 1, .io: 3], others: others)
            .save(in: directory.path)
        let (settings, warnings) = try load()
        #expect(settings.owners?[.cpu] == 2 && settings.owners?[.gpu] == 1)
        #expect(settings.workers[.cpu] == 1 && settings.workers[.io] == 3)
        #expect(settings.possibleOwners?[.cpu] == 2 && settings.possibleOwners?[.io] == 3)
        #expect(settings.others == others && warnings.isEmpty)
        // `cksum` of the last start's version finds it whole.
        let bytes = try #require(FileManager.default.contents(atPath: path))
        #expect(RememberedSettings.isWhole(Array(bytes)))
        #expect(FileManager.default.contents(atPath: path + ".mirror") == bytes)

        try RememberedSettings(owners: settings.workers).save(in: directory.path)
        #expect(try load().settings.possibleOwners == settings.workers)
    }

    @Test(arguments: [true, false]) func aDamagedFileIsWrittenAnewFromItsCopy(
        isMissing: Bool
    ) throws {
        try RememberedSettings(owners: [.io: 2]).save(in: directory.path)
        let whole = try #require(FileManager.default.contents(atPath: path))
        try FileManager.default.removeItem(atPath: path)
        if !isMissing { try whole.dropLast(5).write(to: URL(filePath: path)) }
        let (settings, warnings) = try load()
        #expect(settings.owners?[.io] == 2)
        #expect(warnings.count == 1 && warnings[0].contains("written anew from its copy"))
        #expect(FileManager.default.contents(atPath: path) == whole)
        #expect(try load().warnings.isEmpty)
    }

    @Test func withoutTheFileTheWorkersAreThoseThatHaveSavedSomething() throws {
        let names = [
            "function.0.checkpoint", "function.2.reserve", "cpu.0.checkpoint.mirror",
            "io.99.checkpoint",
            "aggregator.windows", "handover", "io.1", "io.x.checkpoint", "disk.3.checkpoint",
        ]
        for name in names { try write("", to: "\(directory.path)/checkpoints/\(name)") }
        try write("workers=io=5\n# cksum 1 2\n", to: path)
        try write("", to: path + ".mirror")
        let (settings, warnings) = try load()
        #expect(settings.owners?[.function] == 3 && settings.owners?[.io] == 1)
        #expect(warnings.count == 2)
        #expect(warnings[0].contains("is kept as \(path).damaged"))
        #expect(warnings[1].contains("that have saved something, function=3,cpu=1,"))
        #expect(FileManager.default.fileExists(atPath: path + ".damaged"))
        let again = try load()
        #expect(again.settings.owners == settings.owners && again.warnings.isEmpty)
    }

    @Test(arguments: ["workers=disk=1", "workers=cpu=0", "scaling=cpu"])
    func aLineThatNamesNoWorkersIsNamed(line: String) throws {
        try write("# left\nretain_age=1d\nworkers=cpu=1\n\(line)\n", to: path)
        let error = #expect(throws: TraceError.self) { try load() }
        #expect(error?.message.contains("run/cluster.conf:4: ") == true)
    }
}
