import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests bugs that the simulation has found, in as few steps as possible. Each runs on many disks that lose
/// different parts of what was not synced.
@Suite struct RecoveryTests {
    private static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    private static let seeds = UInt64(1)...60

    private func router() throws -> SimulatedRouter {
        try SimulatedRouter(fileBytes: 8 << 10, logger: Self.logger)
    }

    /// Runs `body` on a fresh disk for each seed.
    private func onDisks(
        _ body: (SimulatedDisk, inout SimulatedClients, inout SeededGenerator) throws -> Void
    ) throws {
        for seed in Self.seeds {
            let disk = SimulatedDisk(seed: seed)
            var random = SeededGenerator(seed: seed)
            var clients = SimulatedClients(clients: 1)
            do {
                try Simulation.$driver.withValue(disk) { try body(disk, &clients, &random) }
            } catch {
                throw SimulationError("disk \(seed): \(error)")
            }
        }
    }

    private func commit(
        _ batches: [Int],
        of clients: inout SimulatedClients,
        to router: SimulatedRouter
    ) throws {
        for batch in batches { router.submit(clients.batches[batch].bytes, batch: batch) }
        for answer in try router.commitAll() { try clients.answered(answer) }
    }

    /// A group shares its write with the head of a new file; neither was durable before.
    @Test func aTornFirstGroupOfAFileIsNoDamage() throws {
        try onDisks { disk, clients, random in
            let first = try router()
            try commit([clients.make(using: &random)], of: &clients, to: first)
            try first.close()
            let second = try router()
            let batches = (0..<3).map { _ in clients.make(using: &random) }
            for batch in batches { second.submit(clients.batches[batch].bytes, batch: batch) }
            // Both writes are done, the sync is not.
            disk.callsUntilKill = 2
            #expect(throws: SystemError.self) { try second.commitAll() }
            disk.cutPower()
            // Throws if the log is damaged.
            _ = try router()
        }
    }

    /// Data that a failed sync leaves in the page cache is not on disk, and another sync does not write it.
    @Test func whatAFailedSyncLeftInTheCacheIsWrittenAgain() throws {
        try onDisks { disk, clients, random in
            let first = try router()
            try commit([clients.make(using: &random)], of: &clients, to: first)
            let batch = clients.make(using: &random)
            guard clients.batches[batch].isSequenced else { return }
            disk.syncsUntilFailure = 0
            #expect(throws: SystemError.self) { try commit([batch], of: &clients, to: first) }
            let second = try router()
            try commit([batch], of: &clients, to: second)
            disk.cutPower()
            let third = try router()
            third.submit(clients.batches[batch].bytes, batch: batch)
            let answers = try third.commitAll()
            guard case .duplicate? = answers.first?.outcome else {
                throw SimulationError("an acked batch is lost")
            }
        }
    }

    /// A full disk stores a part of a group, its batches are refused, and the router ends before it writes again.
    @Test func aRefusedGroupIsNotFoundByTheNextStart() throws {
        try onDisks { disk, clients, random in
            let first = try router()
            try commit([clients.make(using: &random)], of: &clients, to: first)
            disk.isFull = true
            var refused: [Int] = []
            // The existing files already have space for some of them.
            for _ in 0..<1_000 where refused.isEmpty {
                let batch = clients.make(bytesMin: 300, using: &random)
                first.submit(clients.batches[batch].bytes, batch: batch)
                repeat {
                    try first.commit {
                        if case .refused(let answers) = $0 { refused += answers.map(\.batch) }
                    }
                    disk.pass(seconds: 2)
                } while first.isCommitting
            }
            guard let batch = refused.first else { throw SimulationError("none was refused") }
            let accepted = first.totals.acceptedTotal
            disk.processEnded()
            disk.isFull = false
            let second = try router()
            #expect(second.totals.acceptedTotal == accepted)
            second.submit(clients.batches[batch].bytes, batch: batch)
            guard case .accepted? = try second.commitAll().first?.outcome else {
                throw SimulationError("a batch that was refused is taken for stored")
            }
        }
    }

    /// A process that ends while it creates the data directory leaves nothing that its successor takes for durable.
    @Test func aDirectoryHalfMadeIsMadeDurableByTheNextStart() throws {
        try onDisks { disk, clients, random in
            disk.callsUntilKill = Int.random(in: 0...12, using: &random)
            _ = try? router()
            disk.processEnded()
            let second = try router()
            let batch = clients.make(using: &random)
            guard clients.batches[batch].isSequenced else { return }
            try commit([batch], of: &clients, to: second)
            disk.cutPower()
            let third = try router()
            third.submit(clients.batches[batch].bytes, batch: batch)
            guard case .duplicate? = try third.commitAll().first?.outcome else {
                throw SimulationError("an acked batch is lost")
            }
        }
    }

    /// A file without a head does not have the state of the files before it.
    @Test func trimmingKeepsTheLastHead() throws {
        try onDisks { disk, clients, random in
            let first = try router()
            let batch = clients.make(using: &random)
            guard clients.batches[batch].isSequenced else { return }
            try commit([batch], of: &clients, to: first)
            try first.close()
            let second = try router()
            try second.trim(below: second.durableLSN)
            disk.cutPower()
            let third = try router()
            // Throws if the batch is taken for a new one.
            try commit([batch], of: &clients, to: third)
        }
    }

    /// Files are removed from the oldest on, on disk too.
    @Test func aPowerCutWhileFilesAreTrimmedLeavesNoGap() throws {
        try onDisks { disk, clients, random in
            for _ in 0..<5 {
                let router = try router()
                try commit([clients.make(using: &random)], of: &clients, to: router)
                try router.close()
            }
            let last = try router()
            disk.callsUntilKill = Int.random(in: 0...14, using: &random)
            try? last.trim(below: last.durableLSN)
            disk.cutPower()
            _ = try router()
        }
    }

    /// The name of a large batch's file is not durable at once: without it the file has to be known by its head, though
    /// the log had begun another one at that base, in a file with the records of an earlier base.
    @Test func aLargeBatchIsFoundWithoutItsFilesName() throws {
        try onDisks { disk, clients, random in
            for _ in 0..<2 {
                let router = try router()
                try commit([clients.make(using: &random)], of: &clients, to: router)
                try router.close()
            }
            let trimming = try router()
            // The oldest file becomes the next one.
            try trimming.trim(below: trimming.durableLSN)
            try trimming.close()
            let batch = clients.make(bytesMin: SimulatedRouter.largeBatchBytes, using: &random)
            guard clients.batches[batch].isSequenced else { return }
            try commit([batch], of: &clients, to: router())
            disk.cutPower()
            let last = try router()
            last.submit(clients.batches[batch].bytes, batch: batch)
            guard case .duplicate? = try last.commitAll().first?.outcome else {
                throw SimulationError("an acked batch is lost")
            }
        }
    }

    /// A full disk has taken the head of a new file, and not the group behind it. The log goes on in another file.
    @Test(arguments: [true, false]) func aHeadWithoutItsGroupIsNotLost(isAhead: Bool) throws {
        try onDisks { disk, _, _ in
            let log = LogDirectory(path: ClusterPaths.log)
            let sizes = [100, 20_000]
            func commit(_ size: Int, to writer: inout LogWriter, isAhead: Bool = false) throws {
                var group = isAhead ? LogGroup(aheadRecordBytes: size) : LogGroup()
                let body = group.append(.batch, arrival: 1, bodyBytes: size)
                body.initializeMemory(as: UInt8.self, repeating: 7, count: size)
                // The head is one sector long.
                let head = { (buffer: inout RawBuffer) in
                    for _ in LogRecord.headerBytes..<512 { buffer.append(byte: 0) }
                }
                if isAhead {
                    var ahead = AheadFileWriter(directory: log, tailBytes: 4_096)
                    let file = try ahead.write(&group, headBytes: 512)
                    try writer.commit(
                        &group,
                        ahead: file,
                        countsAt: { _ in LogCounts() },
                        head: head
                    )
                } else {
                    try writer.commit(&group, countsAt: { _ in LogCounts() }, head: head)
                }
            }
            try FileSystem.createDirectory(ClusterPaths.log)
            try FileSystem.syncDirectory(".")
            var writer = try LogWriter(
                directory: log,
                salt: 7,
                recovery: try LogRecovery.run(log, salt: 7) { _ in },
                fileBytes: 8 << 10
            )
            try commit(sizes[0], to: &writer)
            disk.freeSectors = 1
            #expect(throws: SystemError.self) { try commit(10_000, to: &writer) }
            disk.freeSectors = nil
            try commit(sizes[1], to: &writer, isAhead: isAhead)
            disk.cutPower()
            var found: [Int] = []
            let recovery = try LogRecovery.run(log, salt: 7) { record in
                if record.type == .batch { found.append(record.body.count) }
            }
            guard found == sizes, recovery.damaged.isEmpty else {
                throw SimulationError("found \(found), damaged \(recovery.damaged)")
            }
        }
    }

    @Test func whatCannotBeReadAtTheLogsBeginIsReported() throws {
        try onDisks { _, clients, random in
            let first = try router()
            for _ in 0..<3 { try commit([clients.make(using: &random)], of: &clients, to: first) }
            try first.close()
            let path = LogDirectory(path: ClusterPaths.log).file(base: 0)
            do {
                let file = try File(path, .readWrite)
                let junk = [UInt8](repeating: 0xA5, count: 8)
                try junk.withUnsafeBytes { try file.write($0, at: 40) }
            }
            let recovered = try RouterRecovery.run(
                salt: try DataDirectory.read().salt,
                fresh: RouterState(slotMap: SlotMap(workers: [:])),
                logger: Self.logger
            )
            #expect(recovered.log.damaged.count == 1)
            #expect(recovered.unreported.map(\.range) == recovered.log.damaged)
        }
    }
}
