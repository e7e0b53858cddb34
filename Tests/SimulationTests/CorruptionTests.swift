import GRPCTransport
import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests each byte of a small log, changed or truncated there. The damaged records are set aside by their exact
/// range, the rest is read, and nothing traps.
@Suite struct CorruptionTests {
    private static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

    private struct Record: Equatable {
        let lsn: LSN
        let end: LSN
        let events: UInt64
        /// Bytes without the zero padding behind the payload.
        let bytes: Int
    }

    private func recover(
        salt: UInt32
    ) throws -> (records: [Record], log: LogRecovery, unreported: [DamagePayload]) {
        var records: [Record] = []
        var accepted: UInt64 = 0
        let directory = LogDirectory(path: ClusterPaths.log)
        let log = try LogRecovery.run(directory, salt: salt) { record in
            let total = record.counts.acceptedTotal
            records.append(
                Record(
                    lsn: record.lsn,
                    end: record.lsn + LSN(record.stride),
                    events: record.type == .batch ? total - accepted : 0,
                    bytes: LogRecord.headerBytes + record.payloadBytes
                )
            )
            accepted = total
        }
        let recovered = try RouterRecovery.run(
            salt: salt,
            fresh: RouterState(slotMap: SlotMap(workers: [:])),
            logger: Self.logger
        )
        #expect(recovered.log.end == log.end && recovered.log.damaged == log.damaged)
        return (records, log, recovered.unreported)
    }

    /// Makes a log of two files with one batch per group; the seed determines their sizes.
    private func makeLog() throws -> UInt32 {
        var random = SeededGenerator(seed: 5)
        var clients = SimulatedClients(clients: 2)
        let router = try SimulatedRouter(fileBytes: 4 << 10, logger: Self.logger)
        for _ in 0..<6 {
            let batch = clients.make(using: &random)
            router.submit(clients.batches[batch].bytes, batch: batch)
            #expect(try router.commitAll().count == 1)
        }
        try router.close()
        return try DataDirectory.read().salt
    }

    private func replace(_ path: String, _ bytes: [UInt8]) throws {
        let file = try File(path, .replace)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    @Test func everyChangedByteOfALogIsSetAsideOrMeansNothing() throws {
        try Simulation.$driver.withValue(SimulatedDisk(seed: 1)) {
            let salt = try makeLog()
            let (records, whole, _) = try recover(salt: salt)
            #expect(whole.bases.count >= 2 && whole.damaged.isEmpty)
            let directory = LogDirectory(path: ClusterPaths.log)
            for base in whole.bases {
                let path = directory.file(base: base)
                let bytes = try FileSystem.contents(path)
                let inFile = records.filter { record in
                    whole.bases.last { $0 <= record.lsn } == base
                }
                for (index, byte) in bytes.enumerated() {
                    let lsn = base + LSN(index)
                    guard let hit = inFile.first(where: { $0.lsn <= lsn && lsn < $0.end }) else {
                        continue
                    }
                    var damaged = bytes
                    damaged[index] = byte ^ UInt8(1 << (index % 8))
                    try replace(path, damaged)
                    try expect(hit, at: lsn, in: records, salt: salt)
                }
                try replace(path, bytes)
            }
        }
    }

    private func expect(_ hit: Record, at lsn: LSN, in records: [Record], salt: UInt32) throws {
        let (found, log, unreported) = try recover(salt: salt)
        if lsn >= hit.lsn + LSN(hit.bytes) {
            // Padding has no meaning.
            #expect(found.map(\.lsn) == records.map(\.lsn), "LSN \(lsn)")
            #expect(log.damaged.isEmpty, "LSN \(lsn)")
        } else if hit == records.last {
            // The last commit: whether it was completed is unknowable.
            #expect(found.map(\.lsn) == records.dropLast().map(\.lsn), "LSN \(lsn)")
            #expect(log.end == hit.lsn && log.damaged.isEmpty, "LSN \(lsn)")
        } else {
            #expect(found.map(\.lsn) == records.filter { $0 != hit }.map(\.lsn), "LSN \(lsn)")
            #expect(log.damaged == [hit.lsn..<hit.end], "LSN \(lsn)")
            let expected = DamagePayload(range: hit.lsn..<hit.end, events: hit.events)
            #expect(unreported == [expected], "LSN \(lsn)")
        }
    }

    @Test func aLogCutOffAnywhereIsReadUpToThere() throws {
        try Simulation.$driver.withValue(SimulatedDisk(seed: 1)) {
            let salt = try makeLog()
            let (records, whole, _) = try recover(salt: salt)
            let newest = try #require(whole.bases.last)
            let path = LogDirectory(path: ClusterPaths.log).file(base: newest)
            let bytes = try FileSystem.contents(path)
            for count in 0...Int(whole.end - newest) {
                try replace(path, Array(bytes[..<count]))
                let (found, log, _) = try recover(salt: salt)
                let kept = records.filter { $0.end <= newest + LSN(count) }
                #expect(found.map(\.lsn) == kept.map(\.lsn), "cut at \(count)")
                #expect(log.damaged.isEmpty, "cut at \(count)")
            }
        }
    }
}
