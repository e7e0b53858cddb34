import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// A restarted worker continues from its checkpoint as if it had not died, and reports what it cannot restore.
struct CheckpointTests {
    private func save(_ manager: TraceFileManager) throws -> [UInt8] {
        try manager.flush(.all)
        try manager.sync()
        var state = RawBuffer()
        manager.saveOffsets(into: &state)
        return Array(state.bytes)
    }

    private func revive(_ group: WorkerGroup, from state: [UInt8]) throws -> TraceFileManager {
        let manager = try WorkerGroup.manager(0, in: group.directory)
        try state.withUnsafeBytes { try manager.restore(from: ByteView($0)) }
        return manager
    }

    private func merged(_ group: WorkerGroup, _ manager: TraceFileManager) throws -> [String: Data]
    {
        try group.merge(try manager.closeWindow(stem: WorkerGroup.stem, nextWindow: 8))
        return try group.directory.files(below: "output").filter { !$0.key.hasPrefix(".merge/") }
    }

    @Test(arguments: [0, 1, 250, 599, 600]) func rowsAfterTheCheckpointAreCutAndWrittenAgain(
        _ checkpointAt: Int
    ) throws {
        let events = SyntheticEvent.make(600, seed: 8, disorderNanoseconds: 200_000)
        let whole = try WorkerGroup(1)
        try whole.apply(events)
        let expected = try merged(whole, whole.managers[0])

        let group = try WorkerGroup(1)
        try group.apply(Array(events[..<checkpointAt]))
        let state = try save(group.managers[0])
        try group.apply(Array(events[checkpointAt...]))
        // A closed window too, as long as no checkpoint contains it.
        _ = try group.close()
        let manager = try revive(group, from: state)
        #expect(manager.window == 7)
        for event in events[checkpointAt...] { try event.apply(to: manager) }
        #expect(try merged(group, manager) == expected)
    }

    @Test func closedWindowsSurviveUntilForgotten() throws {
        let group = try WorkerGroup(1)
        try group.apply(SyntheticEvent.make(100, seed: 8, disorderNanoseconds: 0))
        let files = try group.close()
        let state = try save(group.managers[0])
        let first = try revive(group, from: state)
        #expect(first.closedWindows.map(\.files) == [files])
        #expect(first.window == 8)
        try group.merge(files)
        // The window was merged, but this worker died before its checkpoint said so.
        let second = try revive(group, from: state)
        #expect(second.closedWindows.map(\.window) == [7])
        second.forgetWindow(7)
        #expect(try revive(group, from: save(second)).closedWindows.isEmpty)
    }

    @Test func announcementsReadBack() throws {
        let group = try WorkerGroup(1)
        try group.apply(SyntheticEvent.make(100, seed: 8, disorderNanoseconds: 900_000))
        let files = try group.close()
        var bytes = RawBuffer()
        ClosedFile.encode(files, into: &bytes)
        #expect(try ClosedFile.decode(ByteView(bytes.bytes)) == files)
        for count in 0..<bytes.count {
            let cut = ByteView(UnsafeRawBufferPointer(rebasing: bytes.bytes[..<count]))
            #expect(throws: TraceError.self) { try ClosedFile.decode(cut) }
        }
    }

    @Test func unknownFilesAreRemovedAndKnownOnesTruncated() throws {
        let group = try WorkerGroup(1)
        try group.apply(SyntheticEvent.make(300, seed: 8, disorderNanoseconds: 0))
        let state = try save(group.managers[0])
        let before = try group.directory.files(below: "segments")
        try group.apply(SyntheticEvent.make(300, seed: 9, disorderNanoseconds: 900_000))
        try group.managers[0].flush(.all)
        #expect(try group.directory.files(below: "segments") != before)
        _ = try revive(group, from: state)
        #expect(try group.directory.files(below: "segments") == before)
    }

    @Test func aCloseAfterTheCheckpointIsUndone() throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        // Without names the close overwrites the last comma in addition to the header.
        let rows = manager.json(try manager.host("a"))
        rows.text.appendEventStart(ts: SyntheticEvent.baseTime, pid: 1)
        rows.text.append("\"ph\":\"i\",\"tid\":1}")
        rows.endRow(ts: SyntheticEvent.baseTime, pid: 1)
        let state = try save(manager)
        let open = try group.directory.files(below: "segments")
        _ = try group.close()
        #expect(try group.directory.files(below: "segments") != open)
        _ = try revive(group, from: state)
        #expect(try group.directory.files(below: "segments") == open)
    }

    @Test func aDamagedStateNeverTraps() throws {
        let group = try WorkerGroup(1)
        try group.apply(SyntheticEvent.make(40, seed: 8, disorderNanoseconds: 0))
        let state = try save(group.managers[0])
        for count in 0..<state.count {
            #expect(throws: TraceError.self) { try revive(group, from: Array(state[..<count])) }
        }
        // A checkpoint's own checksum detects this damage; here the decoder must not trap.
        for index in state.indices {
            var bad = state
            bad[index] ^= 0xFF
            _ = try? revive(group, from: bad)
        }
    }
}
