import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import WorkerRole

struct CheckpointReserveTests {
    private let directory: TemporaryDirectory
    private let worker = WorkerName(resource: .io, index: 2)

    init() throws { directory = try TemporaryDirectory() }

    @Test func spaceIsHeldOnceAndGivenUpOnce() throws {
        try directory.asWorkingDirectory {
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            let path = ClusterPaths.checkpointReserve(of: worker)
            let reserve = CheckpointReserve(for: worker)
            #expect(!reserve.giveUp())
            reserve.hold()
            #expect(FileSystem.size(path) == Limits.workerReserveBytes)
            #expect(reserve.giveUp() && !reserve.giveUp())
            #expect(!FileSystem.exists(path))
        }
    }

    /// A larger state needs a larger reserve the next time.
    @Test func theReserveGrowsWithTheCheckpoint() throws {
        try directory.asWorkingDirectory {
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            let reserve = CheckpointReserve(for: worker)
            reserve.hold()
            let checkpoint = try File(ClusterPaths.checkpoint(of: worker), .replace)
            try checkpoint.truncate(to: 1 << 20)
            reserve.hold()
            let path = ClusterPaths.checkpointReserve(of: worker)
            #expect(FileSystem.size(path) == Limits.workerReserveBytes + (3 << 20))
        }
    }

    /// Without a directory no space can be reserved, and the worker continues.
    @Test func withoutRoomNothingIsLeftBehind() throws {
        try directory.asWorkingDirectory {
            let reserve = CheckpointReserve(for: worker)
            reserve.hold()
            #expect(!reserve.giveUp())
        }
    }
}
