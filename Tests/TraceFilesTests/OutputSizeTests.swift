import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// The number of written bytes that a worker reports. The router reserves disk space by it.
struct OutputSizeTests {
    private func written(_ group: WorkerGroup) throws -> Int {
        try group.directory.files(below: "segments").values.reduce(0) { $0 + $1.count }
    }

    private func save(_ manager: TraceFileManager) throws -> [UInt8] {
        try manager.flush(.all)
        try manager.sync()
        var state = RawBuffer()
        manager.saveOffsets(into: &state)
        return Array(state.bytes)
    }

    @Test func writtenAndBufferedBytesCount() throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        #expect(manager.openWindowBytes == 0 && manager.mergeBytesMax == 0)
        try group.apply(SyntheticEvent.make(400, seed: 3, disorderNanoseconds: 900_000))
        try manager.flush(.all)
        let bytes = try written(group)
        #expect(bytes > 0 && manager.openWindowBytes == bytes)
        #expect(manager.mergeBytesMax >= bytes)
        let state = try save(manager)
        try group.apply(SyntheticEvent.make(100, seed: 4, disorderNanoseconds: 0))
        try manager.flush(.all)
        #expect(manager.openWindowBytes > bytes)
        let revived = try WorkerGroup.manager(0, in: group.directory)
        try state.withUnsafeBytes { try revived.restore(from: ByteView($0)) }
        #expect(revived.openWindowBytes == bytes)
    }

    /// A closed window counts until it is merged, and never less than the size of its final files.
    @Test func aClosedWindowCountsUntilItIsMerged() throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        try group.apply(SyntheticEvent.make(400, seed: 3, disorderNanoseconds: 900_000))
        let files = try group.close()
        #expect(manager.openWindowBytes == 0)
        let most = manager.mergeBytesMax
        try group.merge(files)
        let final = try group.directory.files(below: "output").filter {
            !$0.key.hasPrefix(".merge/")
        }
        #expect(final.values.reduce(0) { $0 + $1.count } <= most)
        manager.forgetWindow(7)
        #expect(manager.mergeBytesMax == 0)
    }

    /// The merge escapes the text of call stacks, which may grow by half, and writes it a second time into the folded
    /// stacks.
    @Test func callStacksCountWithTheirLargestMergedSize() {
        #expect(OutputKind.mergeBytesMax(bytes: 100, stackBytes: 0) == 100)
        #expect(OutputKind.mergeBytesMax(bytes: 100, stackBytes: 40) == 60 + 40 * 4)
    }
}
