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

    @Test func itsIdentityStays() throws {
        try directory.asWorkingDirectory {
            let made = try DataDirectory.open()
            let again = try DataDirectory.open()
            let read = try DataDirectory.read()
            #expect(made.salt != 0 && again.salt == made.salt && read.salt == made.salt)
            #expect(read.machine == made.machine && !made.machine.isEmpty)
        }
    }

    /// The aggregator may save its first metrics before the router has looked.
    @Test func whatTheAggregatorHasSavedIsNobodysLog() throws {
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

    /// Any other salt would make all of the log another log's, to be passed over without a word.
    @Test func everyChangedOrMissingByteIsRefused() throws {
        try directory.asWorkingDirectory {
            _ = try DataDirectory.open()
            let whole = try FileSystem.contents(ClusterPaths.manifest)
            func expectRefused(_ bytes: [UInt8], _ what: String) throws {
                try bytes.withUnsafeBytes { try FileSystem.publish(ClusterPaths.manifest, $0) }
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

    @Test func theSecretIsDrawnOnceAndOnlyItsUsersToRead() throws {
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

    @Test(arguments: [[], [1], [UInt8](repeating: 7, count: 17)])
    func aSecretOfAnotherSizeIsRefusedWithARemedy(_ content: [UInt8]) throws {
        try directory.asWorkingDirectory {
            try content.withUnsafeBytes { try FileSystem.publish(ClusterPaths.secret, $0) }
            let ensured = #expect(throws: TraceError.self) { try HashSecret.ensure() }
            let read = #expect(throws: TraceError.self) { _ = try HashSecret.read() }
            #expect(ensured?.code == .configuration && read?.remedy != nil)
        }
    }

    @Test func aSecretThatCannotBeReadIsRefusedWithARemedy() throws {
        try directory.asWorkingDirectory {
            // A directory can be read by nobody, root included.
            try FileSystem.createDirectory(ClusterPaths.secret)
            let error = #expect(throws: TraceError.self) { _ = try HashSecret.read() }
            #expect(error?.code == .configuration && error?.remedy != nil)
        }
    }
}
