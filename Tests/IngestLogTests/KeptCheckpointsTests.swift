import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

/// The checkpoints that damaged segments are rebuilt from.
@Suite struct KeptCheckpointsTests {
    private let directory: TemporaryDirectory
    private let worker = WorkerName(resource: .cpu, index: 1)

    init() throws { directory = try TemporaryDirectory() }

    private func window(_ window: UInt64) -> WorkerWindow {
        WorkerWindow(worker: worker, window: window)
    }

    private func publish(_ text: String, bytes: Int? = nil) throws {
        try FileSystem.createDirectory(ClusterPaths.checkpoints)
        let path = ClusterPaths.checkpoint(of: worker)
        try Array(text.utf8).withUnsafeBytes { try FileSystem.publish(path, $0) }
        if let bytes { try File(path, .readWrite).truncate(to: bytes) }
    }

    private func kept() throws -> [String] {
        try FileSystem.list(ClusterPaths.checkpoints).filter { $0.hasSuffix(".kept") }
    }

    @Test func theFirstOneOfAWindowStays() throws {
        try directory.asWorkingDirectory {
            for text in ["first", "second"] {
                try publish(text)
                try KeptCheckpoints.keep(window(12))
            }
            let path = ClusterPaths.keptCheckpoint(of: window(12))
            #expect(path == "checkpoints/cpu.1.w12.kept")
            #expect(try FileSystem.contents(path) == Array("first".utf8))
        }
    }

    @Test func theyGoWithTheirWindow() throws {
        try directory.asWorkingDirectory {
            try publish("state")
            for number in UInt64(8)...11 { try KeptCheckpoints.keep(window(number)) }
            try KeptCheckpoints.remove(of: .gpu, through: 99)
            #expect(try kept().count == 4)
            try KeptCheckpoints.remove(of: .cpu, through: 9)
            #expect(try kept() == ["cpu.1.w10.kept", "cpu.1.w11.kept"])
            #expect(try KeptCheckpoints.remove(of: worker, from: 11))
            #expect(try !KeptCheckpoints.remove(of: worker, from: 11))
            #expect(try kept() == ["cpu.1.w10.kept"])
        }
    }

    @Test func theyAreBounded() throws {
        try directory.asWorkingDirectory {
            try publish("state")
            for number in 0..<UInt64(2 * Limits.keptCheckpointsMax) {
                try KeptCheckpoints.keep(window(number))
            }
            #expect(try kept().count == Limits.keptCheckpointsMax)
            _ = try KeptCheckpoints.remove(of: worker)
            try publish("large", bytes: Limits.keptCheckpointsBytesMax / 2)
            for number in 0..<UInt64(4) { try KeptCheckpoints.keep(window(number)) }
            #expect(try kept() == ["cpu.1.w0.kept", "cpu.1.w1.kept"])
        }
    }

    @Test(arguments: ["cpu.1.w3", "gpu.12.w0"]) func namesComeBack(_ name: String) {
        #expect(WorkerWindow(name)?.description == name)
    }

    @Test(arguments: [
        "cpu.1.w03", "cpu.1.3", "cpu.1.x3", "cpu.w3", "cpu.1.w", "cpu.1", "", ".rebuild",
    ])
    func otherNamesAreNone(_ name: String) { #expect(WorkerWindow(name) == nil) }
}
