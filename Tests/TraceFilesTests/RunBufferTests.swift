import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Every row is written once, in sorted runs, for any order of arrival and any flushes.
struct RunBufferTests {
    @Test(arguments: 0..<8) func runsAreSortedAndContainEveryRowOnce(_ seed: UInt64) throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        let disorder: UInt64 = [0, 10_000, 100_000, 3_000_000][Int(seed % 4)]
        let events = SyntheticEvent.make(800, seed: seed, disorderNanoseconds: disorder)
        var random = SeededGenerator(seed: seed)
        for event in events {
            try event.apply(to: manager)
            #expect(manager.ledger.bytes < group.budget.runBufferBytesMax)
            #expect(manager.store.openCount <= group.budget.openFilesMax)
            switch random.next() % 200 {
            case 0: try manager.flush(.tick)
            case 1: try manager.flush(.all)
            case 2:
                // A row that was begun and dropped leaves nothing.
                manager.csv.text.append("half a row")
                manager.csv.dropRow()
            default: break
            }
        }
        let files = try group.close()
        #expect(manager.ledger.bytes == 0)
        for file in files {
            var numbers: [UInt64] = []
            for (rank, run) in file.runs.enumerated() {
                let reader = try RunReader(
                    "\(group.directory.path)/\(run.path)",
                    kind: file.kind,
                    rank: rank,
                    bufferBytes: 64
                )
                var last: RunRow?
                var count: UInt64 = 0
                var lastHost: [UInt8] = []
                while try reader.next() {
                    if let last {
                        #expect((last.ts, last.pid) <= (reader.row.ts, reader.row.pid))
                    } else {
                        #expect(reader.row.ts == run.firstTs)
                    }
                    count += 1
                    lastHost = Array(reader.row.host)
                    last = RunRow(ts: reader.row.ts, pid: reader.row.pid)
                    numbers.append(UInt64(reader.row.bytes.count))
                }
                #expect(last?.ts == run.lastTs)
                #expect(count == run.rows)
                #expect(lastHost.isEmpty == (file.kind == .json))
            }
            #expect(numbers.count == Int(file.rows))
        }
        let json = files.filter { $0.kind == .json }
        #expect(json.reduce(0) { $0 + $1.rows } == 800)
        #expect(files.first { $0.kind == .csv }?.rows == 800)
        if disorder == 3_000_000 { #expect(json.contains { $0.runs.count > 1 }) }
    }

    @Test func holdbackReordersLateRows() throws {
        var budget = FileBudget()
        budget.runFlushBytes = 1_000
        let group = try WorkerGroup(1, budget: budget)
        let manager = group.managers[0]
        let host = try manager.host("a")
        let rows = manager.json(host)
        // Every other row is 100 ms late. This is less than the hold-back, so one run is enough.
        for number in 0..<2_000 {
            let late: Int64 = number % 2 == 0 ? 0 : 100_000_000
            let ts = SyntheticEvent.baseTime + Int64(number) * 100_000_000 - late
            rows.appendShortRow(ts: ts)
            if manager.needsFlush { try manager.flush(.full) }
        }
        #expect(rows.runs.count == 1)
        #expect(try group.close()[0].runs.count == 1)
    }

    /// Ten rows of each of two agents in turn. One agent lags behind the other by more than the buffer keeps at first.
    @Test func aLaggingAgentCausesFewRuns() throws {
        var budget = FileBudget()
        budget.runFlushBytes = 1_000
        let group = try WorkerGroup(1, budget: budget)
        let manager = group.managers[0]
        let rows = manager.json(try manager.host("a"))
        for block in 0..<200 {
            for row in 0..<10 {
                let ts = SyntheticEvent.baseTime + Int64((block ^ 1) * 10 + row) * 1_000
                rows.appendShortRow(ts: ts)
                if manager.needsFlush { try manager.flush(.full) }
            }
        }
        let file = try group.close()[0]
        #expect(file.rows == 2_000)
        #expect((2...4).contains(file.runs.count))
    }

    /// Rows with late time stamps stay in the buffer for several flushes. Each is written once and in order.
    @Test(arguments: 0..<4) func rowsKeptAtSeveralFlushesAreWrittenOnce(_ seed: UInt64) throws {
        var budget = FileBudget()
        budget.runHoldbackNanoseconds = 200_000
        let group = try WorkerGroup(1, budget: budget)
        let manager = group.managers[0]
        let rows = manager.json(try manager.host("a"))
        var random = SeededGenerator(seed: seed)
        var sent: [Int64] = []
        for number in 0..<2_000 {
            let ahead: Int64 = random.next() % 4 == 0 ? 150 : 0
            let ts = SyntheticEvent.baseTime + (Int64(number) + ahead) * 1_000
            rows.appendShortRow(ts: ts)
            sent.append(ts)
            if number % 16 == 15 { try manager.flush(.tick) }
        }
        #expect(rows.runs.count == 1)
        let file = try group.close()[0]
        let reader = try RunReader(
            "\(group.directory.path)/\(file.runs[0].path)",
            kind: .json,
            rank: 0,
            bufferBytes: 4_096
        )
        var written: [Int64] = []
        while try reader.next() { written.append(reader.row.ts) }
        let isWhole = written == sent.sorted()
        #expect(isWhole)
    }

    @Test func tickWritesQuietBuffers() throws {
        let group = try WorkerGroup(1, budget: FileBudget())
        let manager = group.managers[0]
        let host = try manager.host("a")
        let rows = manager.json(host)
        for ts in [SyntheticEvent.baseTime, SyntheticEvent.baseTime + 1] {
            rows.appendShortRow(ts: ts)
        }
        try manager.flush(.tick)
        #expect(!rows.isEmpty)
        try manager.flush(.tick)
        #expect(rows.isEmpty)
    }

    @Test func aFailedWriteLosesNothing() throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        let host = try manager.host("a")
        // A directory at the run's path simulates a full disk.
        let path = "\(group.directory.path)/\(manager.store.directory)/gpu_trace_w7_r0_a.json"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let rows = manager.json(host)
        for ts in [SyntheticEvent.baseTime + 1, SyntheticEvent.baseTime] {
            rows.appendShortRow(ts: ts)
        }
        #expect(throws: SystemError.self) { try manager.flush(.all) }
        try FileManager.default.removeItem(atPath: path)
        let files = try group.close()
        #expect(files.map(\.rows) == [2])
        #expect(files[0].firstTs == SyntheticEvent.baseTime)
    }

    /// The memory that one window needed is kept for the next one, and released if that did not need it.
    @Test func memoryIsKeptForOneWindow() throws {
        var budget = FileBudget()
        budget.runFlushBytes = 200_000
        let group = try WorkerGroup(1, budget: budget)
        let manager = group.managers[0]
        let host = try manager.host("a")
        func fill(_ rows: Int) {
            let buffer = manager.json(host)
            for number in 0..<rows {
                let ts = SyntheticEvent.baseTime + Int64(number)
                buffer.appendShortRow(ts: ts)
            }
        }
        fill(1_000)
        #expect(!manager.needsFlush)
        let needed = manager.json(host).capacity
        #expect(needed > 32_000)
        _ = try manager.closeWindow(stem: "w1", nextWindow: 8)
        #expect(manager.json(host).capacity == needed)
        fill(10)
        _ = try manager.closeWindow(stem: "w2", nextWindow: 9)
        #expect(manager.json(host).capacity < 5_000)
    }

    /// The memory that idle buffers keep is bounded, however many there are.
    @Test func keptMemoryIsBounded() throws {
        var budget = FileBudget()
        budget.runFlushBytes = 40_000
        let group = try WorkerGroup(1, budget: budget)
        let manager = group.managers[0]
        let hosts = try (0..<40).map { try manager.host("host\($0)") }
        for host in hosts {
            let buffer = manager.json(host)
            for number in 0..<250 {
                let ts = SyntheticEvent.baseTime + Int64(number)
                buffer.appendShortRow(ts: ts)
            }
        }
        _ = try manager.closeWindow(stem: "w1", nextWindow: 8)
        let kept = hosts.map { manager.json($0).capacity }.filter { $0 > 5_000 }
        #expect(!kept.isEmpty && kept.reduce(0, +) <= 4 * budget.runFlushBytes)
    }
}

extension RunRow {
    init(ts: Int64, pid: UInt32) {
        self.init()
        self.ts = ts
        self.pid = pid
    }
}

extension RunBuffer {
    /// The shortest possible event of process 1.
    fileprivate func appendShortRow(ts: Int64) {
        text.appendEventStart(ts: ts, pid: 1)
        text.append("\"ph\":\"i\"}")
        endRow(ts: ts, pid: 1)
    }
}
