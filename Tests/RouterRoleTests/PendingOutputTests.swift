import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests the amount of output still to be written against a list of everything logged.
@Suite struct PendingOutputTests {
    @Test(arguments: 0..<10 as Range<UInt64>) func neverLessThanWhatIsToComeAndLittleMore(
        seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        var pending = PendingOutput()
        var groups: [(end: LSN, bytes: Int)] = []
        var end: LSN = 1 << 30
        var trimmed: LSN = 0
        for step in 0..<20_000 {
            let bytes = Int.random(in: 0..<100_000, using: &generator)
            end += LSN(bytes / 8 + 200)
            groups.append((end, bytes))
            var output: InlineArray<6, Int> = InlineArray(repeating: 0)
            output[3] = bytes
            pending.logged(output, end: end)
            if step % 977 == 0, Bool.random(using: &generator) {
                trimmed =
                    groups[Int.random(in: groups.count / 2..<groups.count, using: &generator)].end
                pending.trim(below: trimmed)
                groups.removeAll { $0.end <= trimmed }
            }
            guard step % 101 == 0, let first = groups.first else { continue }
            let applied = LSN.random(in: max(trimmed, first.end)...end, using: &generator)
            let exact = groups.reduce(0) { $0 + ($1.end > applied ? $1.bytes : 0) }
            let said = pending.bytes(of: .network, from: applied)
            let step = max(Limits.pendingMarkBytes, Int(end - max(trimmed, 1 << 30)) / 1_000)
            #expect(said >= exact && said <= exact + 8 * (step + 200_000), "seed \(seed)")
            #expect(pending.bytes(of: .cpu, from: applied) == 0)
        }
        #expect(pending.bytes(of: .network, from: end) == 0)
    }

    @Test func reportsAreAddedUpByResource() {
        let first = WorkerName(resource: .io, index: 0)
        let second = WorkerName(resource: .io, index: 1)
        let other = WorkerName(resource: .gpu, index: 0)
        let reports = OutputReports(
            window: 7,
            begin: 100,
            workers: [
                (first, .init(checkpointLSN: 300, window: 7, windowBytes: 10, mergeBytes: 40), 900),
                // It is disconnected: the records it applied after its checkpoint will be applied again, and it
                // reports an earlier window.
                (
                    second, .init(checkpointLSN: 300, window: 6, windowBytes: 20, mergeBytes: 50),
                    nil
                ), (other, nil, nil),
            ]
        )
        let io = Int(Resource.io.rawValue)
        #expect(reports.appliedLSN[io] == 300 && reports.windowBytes[io] == 10)
        #expect(reports.mergeBytes[io] == 90)
        #expect(reports.appliedLSN[Int(Resource.gpu.rawValue)] == 100)
        #expect(reports.mergeBytes[Int(Resource.gpu.rawValue)] == 0)
    }
}
