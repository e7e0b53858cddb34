import SystemIO
import TestSupport
import Testing
import TraceModel
import TraceProcessing

@testable import WorkerRole

/// Slots on their way between workers.
@Suite struct HandoverTests {
    private let directory: TemporaryDirectory
    private let handover = Handover(resource: .function, lsn: 4_096)

    init() throws { directory = try TemporaryDirectory() }

    private static let slots = (UInt8.min ... .max).filter { $0 % 4 != 0 }

    @Test func whatOneGivesAnotherTakes() throws {
        try directory.asWorkingDirectory {
            let old = try TestWorker(0)
            let new = try TestWorker(1)
            try old.apply(1...300, at: 8)
            let given = Dictionary(grouping: Self.slots) { $0 % 4 }
            for (owner, slots) in given.sorted(by: { $0.key < $1.key }) {
                try handover.give(slots, from: 0, to: Int(owner), processor: old.processor)
            }
            let mine = try #require(given[1])
            #expect(try handover.take(mine, by: 1, into: new.processor))
            for slot in UInt8.min ... .max {
                let expected = mine.contains(slot) ? old.state(of: slot) : nil
                if let expected { #expect(new.state(of: slot) == expected, "slot \(slot)") }
            }
            let events = (UInt32(1)...300).count { mine.contains(TestWorker.slot(of: $0)) }
            #expect(new.processor.totalTraces == UInt64(events))
            try handover.remove(for: 1)
            let left = try FileSystem.list("checkpoints/handover")
            #expect(left == ["function.4096.0-2", "function.4096.0-3"])
            try handover.remove(for: 1)
        }
    }

    /// Nothing is taken before everything is there: half of the slots would be counted from zero.
    @Test func aNewOwnerWaitsForAllOldOnes() throws {
        try directory.asWorkingDirectory {
            let first = try TestWorker(0)
            let second = try TestWorker(1)
            let new = try TestWorker(2)
            try first.apply(1...100, at: 8)
            try second.apply(200...300, at: 8)
            let slots: [UInt8] = Array(0..<100)
            #expect(try !handover.take(slots, by: 2, into: new.processor))
            let half = Array(slots.prefix(50))
            try handover.give(half, from: 0, to: 2, processor: first.processor)
            #expect(try !handover.take(slots, by: 2, into: new.processor))
            #expect(new.processor.totalTraces == 0)
            let rest = Array(slots.suffix(50))
            try handover.give(rest, from: 1, to: 2, processor: second.processor)
            // Files of another barrier, another receiver, another resource are not for it.
            let others = Handover(resource: .function, lsn: 40_960)
            try others.give(slots, from: 0, to: 2, processor: first.processor)
            try handover.give(slots, from: 0, to: 12, processor: first.processor)
            #expect(try handover.take(slots, by: 2, into: new.processor))
            #expect(half.map { new.state(of: $0) } == half.map { first.state(of: $0) })
            #expect(rest.map { new.state(of: $0) } == rest.map { second.state(of: $0) })
            // Taken again, as after a crash before the next checkpoint: the same.
            #expect(try handover.take(slots, by: 2, into: new.processor))
            #expect(half.map { new.state(of: $0) } == half.map { first.state(of: $0) })
            try handover.remove(for: 2)
            let left = try FileSystem.list("checkpoints/handover")
            #expect(left == ["function.4096.0-12", "function.40960.0-2"])
        }
    }

    @Test func aDamagedFileIsRefused() throws {
        try directory.asWorkingDirectory {
            let old = try TestWorker(0)
            let new = try TestWorker(1)
            try old.apply(1...20, at: 8)
            try handover.give([1, 2, 3], from: 0, to: 1, processor: old.processor)
            let path = "checkpoints/handover/function.4096.0-1"
            let whole = try FileSystem.contents(path)
            for position in whole.indices {
                do {
                    let file = try File(path, .readWrite)
                    var damaged = whole
                    damaged[position] ^= 0x10
                    try damaged.withUnsafeBytes { try file.write($0, at: 0) }
                }
                let error = #expect(throws: TraceError.self, "byte \(position)") {
                    _ = try handover.take([1, 2, 3], by: 1, into: new.processor)
                }
                #expect(error?.code == .corrupt)
            }
            #expect(new.processor.totalTraces == 0)
        }
    }
}
