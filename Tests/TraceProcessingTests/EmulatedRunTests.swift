import AgentEmulator
import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What emulated agents send, through workers as a role runs them.
@Suite(.serialized) struct EmulatedRunTests {
    private static func run(_ dialect: Semantics, _ scenario: Scenario) -> EmulatedRun {
        EmulatedRun(EmulatedRun.Options(seed: 3, dialect: dialect, scenario: scenario))
    }

    /// The events of one resource in the batches of a run, which names are left out of.
    private static func batches(
        _ run: EmulatedRun,
        _ dialect: Semantics,
        _ resource: Resource,
        host: String = "beta"
    ) -> [ContractBatch] {
        run.batches.enumerated().map { number, bytes in
            var events: [ContractEvent] = []
            bytes.withUnsafeBytes { buffer in
                var fields = EventFields(of: resource, in: buffer)
                while let (range, pid) = fields.nextWithProcess() {
                    let event = Array(buffer[range])
                    events.append(ContractEvent(host: host, pid: pid, time: 0, bytes: event))
                }
                #expect(!fields.isDamaged)
            }
            return ContractBatch(
                host: host,
                events: events,
                arrival: (run.truth.start + 60) * 1_000_000_000,
                lsn: LSN(number + 1) * 100,
                semantics: dialect
            )
        }
    }

    // MARK: What does not show

    /// Two windows of the run; workers begin anew from a checkpoint after so many batches.
    private static func files(
        _ resource: Resource,
        _ batches: [ContractBatch],
        workers count: Int,
        batchesPerCheckpoint: Int = .max
    ) throws -> [String: Data] {
        let directory = try ContractDirectory()
        // Where there are two, each has a host of its own.
        let own = Set(batches.filter { $0.host == "beta" }.flatMap(\.events).map(\.slot))
        func owns(_ index: Int, _ slot: UInt8) -> Bool {
            count == 1 || own.contains(slot) == (index == 0)
        }
        var workers = try (0..<count).map {
            try ContractWorker(resource, index: $0, root: directory.path)
        }
        var files: [String: Data] = [:]
        for window in 0..<2 {
            let half = batches.count / 2
            for (number, batch) in batches[half * window..<(window == 0 ? half : batches.count)]
                .enumerated()
            {
                for (index, worker) in workers.enumerated() {
                    try worker.apply(batch.share { owns(index, $0) })
                }
                guard (number + 1) % batchesPerCheckpoint == 0 else { continue }
                workers = try workers.enumerated().map { index, worker in
                    try ContractWorker(
                        resource,
                        index: index,
                        root: directory.path,
                        checkpoint: try worker.checkpoint()
                    )
                }
            }
            let output = try directory.merge(
                resource,
                try workers.flatMap { try $0.finalize() },
                window: 7 + UInt64(window),
                summaries: workers.map(\.summary)
            )
            files.merge(output.files) { _, last in last }
        }
        #expect(workers.allSatisfy { $0.processor.totalTraces > 0 })
        return files
    }

    @Test(arguments: Resource.allCases, [Semantics.neutracer, .cumulative])
    func workersAndCheckpointsDoNotShow(
        resource: Resource,
        dialect: Semantics
    ) throws {
        let run = Self.run(dialect, .complete)
        let batches = zip(
            Self.batches(run, dialect, resource),
            Self.batches(run, dialect, resource, host: "127.0.0.1")
        )
        .prefix(8).flatMap { [$0, $1] }
        let expected = try Self.files(resource, batches, workers: 1)
        #expect(expected.keys.contains { $0.hasPrefix("output/json/") })
        for (workers, batchesPerCheckpoint) in [(1, 3), (2, .max), (2, 2)] {
            let actual = try Self.files(
                resource,
                batches,
                workers: workers,
                batchesPerCheckpoint: batchesPerCheckpoint
            )
            let names = Set(expected.keys).union(actual.keys)
            let different = names.filter { expected[$0] != actual[$0] }.sorted()
            #expect(different == [], "\(workers) workers, \(batchesPerCheckpoint) batches")
        }
    }

    // MARK: Slices

    /// A sampled, busy run: the slices are the calls of which both ends came, and no others.
    @Test(arguments: [Semantics.neutracer, .cumulative]) func slicesAreTheProvedPairs(
        dialect: Semantics
    ) throws {
        let run = Self.run(dialect, dialect == .neutracer ? .standard : .complete)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(.function, root: directory.path)
        try worker.apply(Self.batches(run, dialect, .function))
        let output = try directory.merge(.function, try worker.finalize())
        let slices = Slices(try output.events())
        var expected: [Slices.Key: FunctionTruth] = [:]
        for (pid, process) in run.truth.processes {
            for (name, function) in process.functions {
                expected[Slices.Key(pid: Int(pid) ?? 0, name: name)] = function
            }
        }
        #expect(Set(slices.found.keys).isSubset(of: expected.keys))
        for (key, function) in expected {
            let found = slices.found[key] ?? Slices.Sum()
            #expect(found.count == function.pairs, "\(key)")
            #expect(found.milliseconds == Double(function.pairMillisecondsSum), "\(key)")
            let events = found.count * 2 + found.instants
            #expect(events == function.entriesSent + function.exitsSent, "\(key)")
        }
        #expect(slices.leftOpen == 0 && slices.endingNothing == 0)
        let problems = try ContractTraceCheck.problems(in: output.traces)
        #expect(problems == nil)
    }

    // MARK: Golden files

    /// The beginning of a sampled run: byte for byte the files that are committed.
    @Test func filesOfASampledRunAreThoseCommitted() throws {
        let run = Self.run(.neutracer, .standard)
        var actual: [String: Data] = [:]
        for resource in Resource.allCases {
            var batches = Self.batches(run, .neutracer, resource).prefix(2)
            for place in batches.indices {
                batches[place].events = Array(batches[place].events.prefix(20))
            }
            let directory = try ContractDirectory()
            let worker = try ContractWorker(resource, root: directory.path)
            try worker.apply(batches)
            let output = try directory.merge(
                resource,
                try worker.finalize(),
                summaries: [worker.summary]
            )
            // Compressed bytes are those of a version of zlib.
            for (path, data) in output.files where !path.hasSuffix(".gz") {
                actual[URL(filePath: path).lastPathComponent] = data
            }
        }
        #expect(actual.values.reduce(0) { $0 + $1.count } < 100_000)
        if GoldenFiles.isUpdating { try GoldenFiles.write(actual, "neutracer") }
        let expected = try GoldenFiles.read("neutracer")
        let differences = GoldenFiles.differences(expected: expected, actual: actual)
        #expect(
            differences.isEmpty,
            "\(differences.joined(separator: "\n"))\nIf it is meant so: UPDATE_GOLDEN=1"
        )
    }
}

/// The slices of a trace as a viewer pairs them: an end closes what its thread began last.
private struct Slices {
    struct Key: Hashable {
        let pid: Int
        let name: String
    }

    struct Sum {
        var count = 0
        var milliseconds = 0.0
        var instants = 0
    }

    private struct Thread: Hashable {
        let pid: Int
        let tid: Int
    }

    private(set) var found: [Key: Sum] = [:]
    private(set) var leftOpen = 0
    private(set) var endingNothing = 0

    init(_ events: [[String: Any]]) {
        var open: [Thread: [(name: String, time: Double)]] = [:]
        for event in events {
            guard let name = event["name"] as? String, let pid = event["pid"] as? Int,
                let tid = event["tid"] as? Int,
                let time = event["ts"] as? Double
            else { continue }
            let (key, thread) = (Key(pid: pid, name: name), Thread(pid: pid, tid: tid))
            switch event["ph"] as? String {
            case "B": open[thread, default: []].append((name, time))
            case "E":
                guard let begin = open[thread]?.popLast(), begin.name == name else {
                    endingNothing += 1
                    continue
                }
                found[key, default: Sum()].count += 1
                found[key, default: Sum()].milliseconds += (time - begin.time) / 1_000
            case "i" where event["cat"] as? String == "function":
                found[key, default: Sum()].instants += 1
            default: continue
            }
        }
        leftOpen = open.values.reduce(0) { $0 + $1.count }
    }
}
