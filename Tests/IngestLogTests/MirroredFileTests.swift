import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

@Suite struct MirroredFileTests {
    private let directory: TemporaryDirectory
    private let file = MirroredFile("state")
    private static let copies = ["state", "state.mirror"]
    private static let body = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }

    init() throws { directory = try TemporaryDirectory() }

    private func publish(_ bytes: [UInt8] = Self.body) throws {
        try file.publish { writer in bytes.withUnsafeBytes { writer.body.append($0) } }
    }

    private func body(of content: MirroredFile.Content?) throws -> [UInt8]? {
        try content?.withBody { Array(try $0.bytes($0.remaining)) }
    }

    private func overwrite(_ path: String, _ bytes: [UInt8]) throws {
        let file = try File(path, .replace)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    private func read() throws -> MirroredFile.Content? { try file.read(remedy: "Help") }

    @Test func bothCopiesAreTheSame() throws {
        try directory.asWorkingDirectory {
            #expect(try read() == nil)
            try publish()
            let content = try read()
            #expect(try body(of: content) == Self.body)
            #expect(content?.damage == nil && content?.needsRepair == false)
            #expect(try FileSystem.list(".") == Self.copies)
            try file.remove()
            #expect(try FileSystem.list(".").isEmpty)
            #expect(Self.copies.map(MirroredFile.name) == ["state", "state"])
        }
    }

    /// Pieces of any size, including pieces written before the rest of the body exists.
    @Test(arguments: [1, 4_000, 524_280, 524_288, 600_000, 1_100_001])
    func aLargeBodyIsWrittenInPieces(
        _ piece: Int
    ) throws {
        let bytes = (0..<piece * 3).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        try directory.asWorkingDirectory {
            try file.publish { writer in
                for part in 0..<3 {
                    bytes.withUnsafeBytes {
                        writer.body.append(.init(rebasing: $0[part * piece..<(part + 1) * piece]))
                    }
                    try writer.drain()
                    #expect(writer.body.count < File.directBytesUsual + File.blockBytes)
                }
            }
            let content = try read()
            #expect(try body(of: content) == bytes)
            #expect(content?.needsRepair == false)
            #expect(try FileSystem.list(".") == Self.copies)
        }
    }

    /// A failed write leaves the old content.
    @Test func aFailedWriteChangesNothing() throws {
        struct Failure: Error {}
        try directory.asWorkingDirectory {
            try publish([1])
            #expect(throws: Failure.self) {
                try file.publish { writer in
                    writer.body.append(byte: 2)
                    throw Failure()
                }
            }
            let content = try read()
            #expect(try body(of: content) == [1])
            #expect(content?.needsRepair == false)
        }
    }

    /// Each byte of each copy is changed, and each copy is cut at each byte.
    @Test func oneDamagedCopyIsReportedAndTheOtherIsUsed() throws {
        try directory.asWorkingDirectory {
            try publish()
            let whole = try FileSystem.contents(Self.copies[0])
            for copy in Self.copies {
                for position in whole.indices {
                    var changed = whole
                    changed[position] ^= UInt8(1 << (position % 8))
                    for damaged in [changed, Array(whole[..<position])] {
                        try overwrite(copy, damaged)
                        let content = try #require(try read())
                        #expect(try body(of: content) == Self.body)
                        #expect(content.damage == "\(copy) is damaged", "byte \(position)")
                        #expect(content.needsRepair)
                    }
                }
                try overwrite(copy, whole + [0])
                let content = try #require(try read())
                #expect(content.damage == "\(copy) is damaged")
                try file.repair(content)
                #expect(try read()?.needsRepair == false)
                #expect(try FileSystem.contents(copy) == whole)
            }
        }
    }

    @Test func aMissingCopyIsRewritten() throws {
        try directory.asWorkingDirectory {
            for (copy, damage) in zip(Self.copies, ["state is missing", nil]) {
                try publish()
                try FileSystem.remove(copy)
                let content = try #require(try read())
                #expect(content.damage == damage && content.needsRepair)
                try file.repair(content)
                #expect(try FileSystem.list(".") == Self.copies)
            }
        }
    }

    @Test func theCopyWrittenFirstIsTheNewer() throws {
        try directory.asWorkingDirectory {
            try publish([1])
            let older = try FileSystem.contents(Self.copies[1])
            try publish([2])
            try overwrite(Self.copies[1], older)
            let content = try #require(try read())
            #expect(try body(of: content) == [2])
            #expect(content.damage == nil && content.needsRepair)
        }
    }

    @Test func withoutAnIntactCopyReadingFails() throws {
        try directory.asWorkingDirectory {
            try publish()
            try overwrite(Self.copies[0], [])
            try overwrite(Self.copies[1], [1])
            try expectRefused("damaged")
            try FileSystem.remove(Self.copies[1])
            try expectRefused("missing")
        }
    }

    private func expectRefused(_ mirror: String) throws {
        let error = #expect(throws: TraceError.self) { _ = try read() }
        #expect(error?.code == .corrupt && error?.remedy == "Help")
        #expect(error?.message == "state is damaged, and its mirror is \(mirror)")
    }
}
