import Foundation
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// The four kinds of GPU events, and the one that is none.
@Suite struct GPUModelTests {
    private let directory: ContractDirectory
    private let worker: ContractWorker

    init() throws {
        directory = try ContractDirectory()
        worker = try ContractWorker(.gpu, root: directory.path)
    }

    private func send(_ payloads: BatchEncoder.GPU.Payload...) throws {
        try send(payloads, at: EventGenerator.start)
    }

    private func send(_ payloads: [BatchEncoder.GPU.Payload], at time: EpochNanoseconds) throws {
        var encoder = BatchEncoder()
        for (index, payload) in payloads.enumerated() {
            var event = BatchEncoder.GPU()
            event.timestamp = ContractEvent.timestamp(time + Int64(index) * 1_000)
            event.payload = payload
            encoder.append(event)
        }
        let host = EventGenerator.hosts[0]
        let event = ContractEvent(host: host, pid: 5, time: time, bytes: Array(encoder.bytes))
        try worker.apply(ContractBatch(host: host, events: [event], arrival: time, lsn: 1))
    }

    private var samples: Samples { Samples(worker.processor.allSamples(lsn: 1)) }

    private func output() throws -> ContractOutput {
        try directory.merge(.gpu, try worker.finalize())
    }

    @Test func everyKindHasItsFields() throws {
        try send(
            .memory(pid: 5, bytes: 4_096),
            .launch(pid: 5, kernelName: "add", calls: 3),
            .transfer(pid: 5, bytesPerSecond: 2_500_000, kind: "D2H"),
            .none
        )
        let output = try output()
        let records = try output.records(.gpu)
        let arguments = records.compactMap { $0["args"] as? [String: Any] }
        #expect(records.map { $0["pid"] as? Int } == [5, 5, 5, 0])
        #expect(arguments.map { $0["event_type"] as? Int } == [2, 3, 4, 0])
        #expect(records[1]["name"] as? String == "add")
        #expect(arguments[0]["mem_size"] as? Int == 4_096)
        #expect(arguments[1]["kernel_name"] as? String == "add")
        #expect(arguments[1]["num_calls"] as? Int == 3)
        #expect(arguments[2]["mem_trans_rate"] as? Int == 2_500_000)
        #expect(arguments[2]["kind_str"] as? String == "D2H")
        let counters = try output.events().filter { $0["ph"] as? String == "C" }.compactMap {
            $0["args"] as? [String: Int]
        }
        #expect(counters == [["bytes": 4_096], ["add": 3], ["D2H": 2_500_000]])
        let rows = output.rows().map { row in
            ["Event", "Kernel", "Calls", "Memory Size", "Transfer Rate", "Kind", "Frames"].map {
                row[$0] ?? "none"
            }
            .joined(separator: ",")
        }
        #expect(
            rows == [
                "memory,,,4096,,,", "launch,add,3,,,,", "transfer,,,,2500000,D2H,", "unknown,,,,,,",
            ]
        )
    }

    @Test func metricsHaveTheNewestValues() throws {
        try send(
            .memory(pid: 5, bytes: 10),
            .memory(pid: 5, bytes: 20),
            .launch(pid: 5, kernelName: "add", calls: 3),
            .launch(pid: 5, kernelName: "add", calls: 4),
            .transfer(pid: 5, bytesPerSecond: 2_500_000, kind: "D2H")
        )
        // Older: counts, but is not the newest.
        try send(
            [
                .memory(pid: 5, bytes: 99), .launch(pid: 5, kernelName: "add", calls: 1),
                .transfer(pid: 5, bytesPerSecond: 1, kind: "D2H"),
            ],
            at: EventGenerator.start - 1_000_000_000
        )
        let samples = samples
        #expect(samples.value(.gpuMemoryBytes, "127.0.0.1", "5") == 20)
        #expect(samples.value(.gpuKernelLaunchesTotal, "5", "add") == 8)
        #expect(samples.value(.neutracerGPUKernelFunctionCount, "5", "add") == 4)
        #expect(samples.value(.gpuTransferRateBytesPerSecond, "5", "D2H") == 2_500_000)
        let megabytes = samples.value(.neutracerGPUMemoryTransferRateMegabytesPerSecond, "5", "D2H")
        #expect(megabytes == 2.5)
    }

    @Test func kindsBeyondTheBoundAreOne() throws {
        let kinds = (0..<Limits.transferKindsMax + 5).map { "kind \($0)" }
        try send(
            kinds.map { .transfer(pid: 5, bytesPerSecond: 7, kind: $0) },
            at: EventGenerator.start
        )
        let samples = samples
        #expect(samples.value(.gpuTransferRateBytesPerSecond, "5", "kind 0") == 7)
        #expect(samples.value(.gpuTransferRateBytesPerSecond, "5", "other") == 7)
        let last = "kind \(Limits.transferKindsMax)"
        #expect(samples.value(.gpuTransferRateBytesPerSecond, "5", last) == nil)
    }

    @Test func stacksGoToTheStackMessageFile() throws {
        try send(
            .callStack(pid: 5, frames: ["cudaLaunchKernel", "run()", " ", "", "main|x"]),
            .callStack(pid: 5, frames: ["  cudaLaunchKernel_v2", "\t"]),
            .callStack(pid: 5, frames: [])
        )
        let output = try output()
        let stacks = try output.records(.gpu).map { ($0["args"] as? [String: Any])?["stack"] }
        #expect(stacks.count == 3)
        #expect(stacks[0] as? [String] == ["cudaLaunchKernel", "run()", " ", "", "main|x"])
        #expect(stacks[2] as? [String] == [])
        let lines = try #require(output.text(suffix: ".txt")).split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("EVENT") } == ["EVENT|0|5|2|run()|main\\u007cx"])
        #expect(output.text(suffix: ".folded") == "pid-5;main|x;run() 1\n")
        #expect(output.rows().map { $0["Frames"] } == ["2", "0", "0"], "those in the file")
    }

    @Test func theOutermostFramesOfADeepStackAreCut() throws {
        let depth = Limits.stackFramesMax
        try send(.callStack(pid: 5, frames: (0..<depth + 3).map { "f\($0)" }))
        #expect(samples.value(.errorsTotal, "stack_frames_cut") == 3)
        let output = try output()
        let record = try #require(try output.records(.gpu).first?["args"] as? [String: Any])
        let frames = try #require(record["stack"] as? [String])
        #expect(frames.count == depth && frames.last == "f\(depth - 1)")
        let line = try #require(output.text(suffix: ".txt")?.split(separator: "\n").last)
        #expect(line.hasPrefix("EVENT|0|5|\(depth)|f0|") && line.hasSuffix("|f\(depth - 1)"))
    }
}
