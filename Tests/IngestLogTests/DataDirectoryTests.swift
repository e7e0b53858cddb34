import Foundation
import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

/// The data directory's manifest.
@Suite struct DataDirectoryTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func theIdentityIsPermanent() throws {
        try directory.asWorkingDirectory {
            let made = try DataDirectory.open()
            let again = try DataDirectory.open()
            let read = try DataDirectory.read()
            #expect(made.salt != 0 && again.salt == made.salt && read.salt == made.salt)
            #expect(read.machine == made.machine && !made.machine.isEmpty)
        }
    }

    /// The aggregator may save its first metrics before the router has checked the directory.
    @Test func filesOfTheAggregatorAloneAreNoLog() throws {
        try directory.asWorkingDirectory {
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            for name in ["metrics", "metrics.journal", "windows"] {
                try [1].withUnsafeBytes {
                    try FileSystem.publish(ClusterPaths.aggregatorCheckpoints + name, $0)
                }
            }
            #expect(try DataDirectory.open().salt != 0)
        }
    }

    @Test func checkpointsWithoutAManifestAreRefused() throws {
        try directory.asWorkingDirectory {
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            let worker = WorkerName(resource: .cpu, index: 0)
            try [1].withUnsafeBytes {
                try FileSystem.publish(ClusterPaths.checkpoint(of: worker), $0)
            }
            let error = #expect(throws: TraceError.self) { _ = try DataDirectory.open() }
            #expect(error?.code == .corrupt)
        }
    }

    private static let mirror = ClusterPaths.manifest + ".mirror"

    private func publish(_ bytes: [UInt8], _ path: String) throws {
        try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
    }

    /// With another salt all records would look like those of a foreign log and be skipped silently.
    @Test func everyChangedOrMissingByteOfBothCopiesIsRefused() throws {
        try directory.asWorkingDirectory {
            _ = try DataDirectory.open()
            let whole = try FileSystem.contents(ClusterPaths.manifest)
            func expectRefused(_ bytes: [UInt8], _ what: String) throws {
                try publish(bytes, ClusterPaths.manifest)
                try publish(bytes, Self.mirror)
                let error = #expect(throws: TraceError.self, "\(what)") {
                    _ = try DataDirectory.open()
                }
                #expect(error?.code == .corrupt || error?.code == .configuration)
                #expect(error?.remedy != nil)
            }
            for position in whole.indices {
                for bit in 0..<8 {
                    var damaged = whole
                    damaged[position] ^= 1 << UInt8(bit)
                    try expectRefused(damaged, "bit \(bit) of byte \(position)")
                }
                try expectRefused(Array(whole[..<position]), "cut at \(position)")
            }
        }
    }

    @Test func aDamagedCopyOfTheManifestIsRepairedAndReported() throws {
        try directory.asWorkingDirectory {
            let made = try DataDirectory.open()
            let whole = try FileSystem.contents(ClusterPaths.manifest)
            for path in [ClusterPaths.manifest, Self.mirror] {
                func expectHealed(_ what: String) throws {
                    #expect(try DataDirectory.read().salt == made.salt, "\(what)")
                    var reports = 0
                    #expect(
                        try DataDirectory.open { _ in reports += 1 }.salt == made.salt,
                        "\(what)"
                    )
                    #expect(reports == 1, "\(what)")
                    #expect(try FileSystem.contents(path) == whole, "\(what)")
                }
                for position in whole.indices {
                    var damaged = whole
                    damaged[position] ^= 1 << UInt8(position % 8)
                    try publish(damaged, path)
                    try expectHealed("byte \(position) of \(path)")
                    try publish(Array(whole[..<position]), path)
                    try expectHealed("\(path) cut at \(position)")
                }
            }
            // As an earlier version left it, without a mirror.
            try FileSystem.remove(Self.mirror)
            _ = try DataDirectory.open { Issue.record("\($0)") }
            #expect(try FileSystem.contents(Self.mirror) == whole)
        }
    }

    @Test func filesAreAccessibleToUserAndGroupOnly() throws {
        try directory.asWorkingDirectory {
            // As an earlier version created it.
            try FileSystem.createDirectory(ClusterPaths.output, mode: 0o755)
            _ = try DataDirectory.open()
            for (path, mode) in [
                (ClusterPaths.output, 0o750), (ClusterPaths.log, 0o750), (ClusterPaths.run, 0o700),
                (ClusterPaths.manifest, 0o640), (Self.mirror, 0o640),
            ] {
                let found = try FileManager.default.attributesOfItem(atPath: path)
                #expect(found[.posixPermissions] as? Int == mode, "\(path)")
            }
        }
    }

    @Test func theSecretIsDrawnOnceAndReadableByItsUserOnly() throws {
        try directory.asWorkingDirectory {
            try HashSecret.ensure()
            let secret = try HashSecret.read()
            try HashSecret.ensure()
            #expect(secret.count == HashSecret.byteCount && Set(secret).count > 1)
            #expect(try HashSecret.read() == secret)
            let mode = try FileManager.default.attributesOfItem(atPath: ClusterPaths.secret)[
                .posixPermissions
            ]
            #expect(mode as? Int == 0o600)
        }
    }

    private static let secretMirror = ClusterPaths.secret + ".mirror"

    @Test func aDamagedSecretIsRepairedOrRedrawn() throws {
        try directory.asWorkingDirectory {
            try HashSecret.ensure()
            let secret = try HashSecret.read()
            let whole = try FileSystem.contents(ClusterPaths.secret)
            for path in [ClusterPaths.secret, Self.secretMirror] {
                for position in whole.indices {
                    var damaged = whole
                    damaged[position] ^= 1
                    for bytes in [damaged, Array(whole[..<position])] {
                        try publish(bytes, path)
                        #expect(try HashSecret.read() == secret)
                        var reports = 0
                        try HashSecret.ensure { _ in reports += 1 }
                        #expect(reports == 1)
                        #expect(try FileSystem.contents(path) == whole)
                    }
                }
            }
            for path in [ClusterPaths.secret, Self.secretMirror] { try publish([1], path) }
            let error = #expect(throws: TraceError.self) { _ = try HashSecret.read() }
            #expect(error?.remedy != nil)
            try HashSecret.ensure()
            #expect(try HashSecret.read() != secret)
        }
    }

    /// A single copy without a checksum.
    @Test func theSecretOfAnEarlierVersionIsKept() throws {
        try directory.asWorkingDirectory {
            let secret = [UInt8](repeating: 7, count: HashSecret.byteCount)
            try publish(secret, ClusterPaths.secret)
            #expect(try HashSecret.read() == secret)
            try HashSecret.ensure { Issue.record("\($0)") }
            #expect(try HashSecret.read() == secret)
            #expect(try FileSystem.contents(ClusterPaths.secret).count == 20)
            #expect(FileSystem.exists(Self.secretMirror))
        }
    }

    @Test func aSecretThatCannotBeReadIsRefusedWithARemedy() throws {
        try directory.asWorkingDirectory {
            // Nobody can read a directory as a file, not even root.
            try FileSystem.createDirectory(ClusterPaths.secret)
            let error = #expect(throws: TraceError.self) { _ = try HashSecret.read() }
            #expect(error?.code == .configuration && error?.remedy != nil)
        }
    }
}
