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
        var body = MirroredFile.newBody()
        bytes.withUnsafeBytes { body.append($0) }
        try file.publish(&body)
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

    /// Every byte of each copy, changed or the first that is missing.
    @Test func oneDamagedCopyIsToldAndTheOtherHolds() throws {
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

    @Test func aMissingCopyIsWrittenAnew() throws {
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

    @Test func withoutASoundCopyItIsRefused() throws {
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
