import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Eviction of the least recently used hosts, and the reuse of their numbers.
struct HostTableTests {
    private func register(_ names: [String], in table: HostTable) -> [HostID] {
        names.map { table.register($0, isThisMachine: false) }
    }

    private func names(_ table: HostTable) -> [String] {
        table.saved.map { (table.isEvicted($0) ? "-" : "") + table[$0].name }
    }

    @Test func theLeastRecentlyUsedHostIsEvicted() {
        let table = HostTable(guardsFormulas: false, countMax: 3)
        let ids = register(["a", "b", "c"], in: table)
        #expect(table.register("a", isThisMachine: false) == ids[0])
        // Mentioned, but not used.
        #expect(table.register("b", isThisMachine: false, countsAsUse: false) == ids[1])
        #expect(!table.hasEvicted)
        let fourth = table.register("d", isThisMachine: false)
        #expect(names(table) == ["-b", "c", "a", "d"])
        #expect(table.hasEvicted && table.isEvicted(ids[1]) && !ids.contains(fourth))
        // Rows in the open window still use its name.
        #expect(table[ids[1]].name == "b" && table.field(ids[1]).string == "b")
    }

    @Test func aHostUsedAgainInItsWindowKeepsItsNumber() {
        let table = HostTable(guardsFormulas: false, countMax: 2)
        let ids = register(["a", "b", "c"], in: table)
        #expect(table.register("a", isThisMachine: false) == ids[0])
        #expect(names(table) == ["-b", "c", "a"])
        #expect(table.windowEnded() == [ids[1]])
        #expect(names(table) == ["c", "a"])
        // Only then is the number reused.
        #expect(table.register("d", isThisMachine: false) == ids[1])
        #expect(table[ids[1]].name == "d")
        #expect(table.count == 2 && table.indexEnd == 3)
    }

    @Test func aSixteenthIsEvictedAtATime() {
        let table = HostTable(guardsFormulas: false, countMax: 160)
        _ = register((0..<161).map { "\($0)" }, in: table)
        #expect(table.count == 151)
        #expect(table.saved.prefix(10).allSatisfy { table.isEvicted($0) })
    }

    @Test func memoryIsBoundedForAnyNumberOfHosts() {
        let table = HostTable(guardsFormulas: false, countMax: 64)
        for window in 0..<200 {
            for number in 0..<50 { _ = register(["\(window).\(number)"], in: table) }
            _ = table.windowEnded()
            #expect(table.count <= 64 && table.indexEnd <= 64 + 64)
        }
    }

    @Test func canonicallyEquivalentNamesAreDistinctHosts() {
        let table = HostTable(guardsFormulas: false)
        let ids = register(["é", "e\u{301}"], in: table)
        #expect(ids[0] != ids[1])
    }

    /// Compares with a plain list, with checkpoints in between.
    @Test(arguments: 0..<6) func evictionsDoNotDependOnRestarts(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = HostTable(guardsFormulas: false, countMax: 20)
        var heard: [String] = []
        var gone: [String] = []
        for _ in 0..<3_000 {
            let name = "\(random.next() % 40)"
            if let known = heard.firstIndex(of: name) {
                heard.remove(at: known)
            } else {
                if heard.count == 20 { gone.append(heard.removeFirst()) }
                gone.removeAll { $0 == name }
            }
            heard.append(name)
            _ = table.register(name, isThisMachine: false)
            switch random.next() % 50 {
            case 0:
                _ = table.windowEnded()
                gone = []
            case 1:
                let again = HostTable(guardsFormulas: false, countMax: 20)
                for host in table.saved {
                    again.restore(
                        table[host].name,
                        isThisMachine: false,
                        isEvicted: table.isEvicted(host)
                    )
                }
                table = again
            default: break
            }
            // Evicted hosts come first, in any order.
            let names = names(table)
            #expect(names.suffix(heard.count) == heard[...])
            #expect(names.dropLast(heard.count).sorted() == gone.map { "-\($0)" }.sorted())
        }
    }

    // MARK: Files

    private static func budget(hosts: Int, files: Int = 1_000) -> FileBudget {
        var budget = WorkerGroup.smallBudget
        budget.hostsMax = hosts
        budget.hostFilesMax = files
        return budget
    }

    private func event(_ number: Int) -> SyntheticEvent {
        SyntheticEvent(
            host: 0,
            pid: 1,
            tid: 1,
            ts: SyntheticEvent.baseTime + Int64(number) * 1_000,
            number: number
        )
    }

    /// Writes rows of 30 hosts in turn with a worker that has a small limit. With `restarts` the worker is restored
    /// from a checkpoint every few rows.
    private func outputs(hosts: Int, files: Int = 1_000, restarts: Bool) throws -> [String: Data] {
        let budget = Self.budget(hosts: hosts, files: files)
        let directory = try TemporaryDirectory()
        var manager = try WorkerGroup.manager(0, in: directory, budget: budget)
        try manager.restore(from: nil)
        manager.openWindow(7)
        for number in 0..<600 {
            let host = try manager.host("host \(number * 7 % 30)")
            event(number).appendJSON(to: manager, host: host)
            var row = manager.csv.target.beginRow()
            row.appendDecimal(Int64(number))
            row.append(byte: UInt8(ascii: ","))
            row.appendDecimal(UInt32(1))
            row.append(byte: UInt8(ascii: ","))
            row.append(byte: UInt8(ascii: "x"))
            let field = manager.hostField(host)
            // All rows have the same time, so the hosts' names decide their order.
            manager.csv.target.endRow(row, ts: 1, pid: 1, host: host, field: field) {
                $0.appendDecimal(Int64(1))
            }
            if manager.needsFlush { try manager.flush(.full) }
            if number % 50 == 0 { try manager.flush(.tick) }
            guard restarts, number % 70 == 69 else { continue }
            try manager.flush(.all)
            try manager.sync()
            var state = RawBuffer()
            manager.saveOffsets(into: &state)
            manager = try WorkerGroup.manager(0, in: directory, budget: budget)
            try manager.restore(from: ByteView(state.bytes))
        }
        let closed = try manager.closeWindow(stem: WorkerGroup.stem, nextWindow: 8)
        #expect(manager.hosts.indexEnd <= 30 && manager.json.compactMap { $0 }.count <= hosts)
        let merger = WindowMerger(
            localHostName: "this-machine",
            timeZoneName: "UTC",
            root: directory.path,
            budget: budget
        )
        _ = try merger.merge(resource: .gpu, window: 7, stem: WorkerGroup.stem, files: closed)
        return try directory.files(below: "output").filter { !$0.key.hasPrefix(".merge/") }
    }

    @Test(arguments: [1, 3, 17]) func filesDoNotDependOnEvictions(_ hosts: Int) throws {
        let usual = try outputs(hosts: 1_000, restarts: false)
        #expect(usual.count == 31)
        #expect(try outputs(hosts: hosts, restarts: false) == usual)
        #expect(try outputs(hosts: hosts, restarts: true) == usual)
    }

    @Test func hostsBeyondTheFileLimitShareOneFile() throws {
        let few = try outputs(hosts: 1_000, files: 11, restarts: false)
        // Ten hosts, the table, and the file of the other hosts.
        #expect(few.count == 12)
        #expect(try outputs(hosts: 1_000, files: 11, restarts: true) == few)
        let group = try WorkerGroup(1, budget: Self.budget(hosts: 10, files: 1))
        let manager = group.managers[0]
        for number in 0..<5 {
            event(number).appendJSON(to: manager, host: try manager.host("\(number)"))
        }
        let files = try manager.closeWindow(stem: WorkerGroup.stem, nextWindow: 8)
        #expect(files.map(\.host) == ["0", ""] && files.map(\.rows) == [1, 4])
        #expect(manager.rowsWithoutFile == 4)
    }

    /// More files than may be open, and more than are synced one by one.
    @Test func aWindowOfManyHostsIsCompleteAfterARestart() throws {
        var budget = FileBudget()
        budget.openFilesMax = 10
        let directory = try TemporaryDirectory()
        var manager = try WorkerGroup.manager(0, in: directory, budget: budget)
        try manager.restore(from: nil)
        manager.openWindow(7)
        let hosts = 300
        for round in 0..<3 {
            for number in 0..<hosts {
                let host = try manager.host("host-\(number)")
                event(round * hosts + number).appendJSON(to: manager, host: host)
            }
            // Small buffers wait when many files grow.
            try manager.flush(.tick)
            #expect(manager.ledger.bytes > 0 && manager.store.openCount <= 10)
            try manager.flush(.all)
            try manager.sync()
            var state = RawBuffer()
            manager.saveOffsets(into: &state)
            manager = try WorkerGroup.manager(0, in: directory, budget: budget)
            try manager.restore(from: ByteView(state.bytes))
        }
        let closed = try manager.closeWindow(stem: WorkerGroup.stem, nextWindow: 8)
        #expect(closed.count == hosts && closed.allSatisfy { $0.rows == 3 })
        let merger = WindowMerger(
            localHostName: "this-machine",
            timeZoneName: "UTC",
            root: directory.path
        )
        let paths = try merger.merge(
            resource: .gpu,
            window: 7,
            stem: WorkerGroup.stem,
            files: closed
        )
        #expect(paths.count == hosts && merger.syncsTogether)
        #expect(try directory.files(below: "segments").isEmpty)
        // An idle host needs little memory.
        #expect(manager.json.allSatisfy { ($0?.capacity ?? 0) <= 8_192 })
    }
}
