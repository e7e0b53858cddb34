import Foundation
import TestSupport
import Testing
import TraceBench

@Suite struct DiskSilenceTests {
    /// As the kernel pads them; `done` requests of each kind.
    private func counters(done: Int, inFlight: Int) -> [UInt8] {
        let fields = (0..<17).map { $0 == 8 ? inFlight : [0, 4, 11, 15].contains($0) ? done : 7 }
        return Array((fields.map { "    \($0)" }.joined(separator: " ") + "\n").utf8)
    }

    private func longest(_ looks: [(now: Int64, done: Int, inFlight: Int)]) -> Int64 {
        var silence = DiskSilence()
        for look in looks {
            silence.update(with: counters(done: look.done, inFlight: look.inFlight), now: look.now)
        }
        return silence.longest
    }

    @Test func aDeviceThatFinishesNothingIsSilent() {
        #expect(longest([(10, 1, 0), (20, 1, 2), (30, 1, 2), (40, 1, 3), (50, 2, 1)]) == 20)
    }

    @Test func theLongestSilenceCounts() {
        let looks: [(Int64, Int, Int)] = [
            (0, 1, 1), (30, 1, 1), (31, 2, 1), (40, 2, 1), (50, 3, 0),
        ]
        #expect(longest(looks) == 30)
    }

    @Test func aDeviceWithoutRequestsIsNotSilent() {
        #expect(longest([(0, 1, 0), (1_000, 1, 0), (2_000, 1, 0)]) == 0)
        #expect(longest([(0, 1, 1), (5, 2, 0), (1_000, 2, 0), (2_000, 2, 1)]) == 0)
    }

    @Test func countersOfOldKernelsAreEnoughAndOtherTextIsNot() {
        var silence = DiskSilence()
        for now in [Int64(0), 10] {
            silence.update(with: Array("1 2 3 4 5 6 7 8 1 10 11\n".utf8), now: now)
        }
        #expect(silence.longest == 10)
        silence.update(with: Array("no such device".utf8), now: 99)
        #expect(silence.longest == 10)
    }

    @Test func aWatchStopsAndADirectoryThatIsNotThereHasNone() throws {
        let directory = try TemporaryDirectory()
        if let watch = DiskWatch(directory: directory.path) { #expect(watch.stop() >= 0) }
        #expect(DiskWatch(directory: "/proc") == nil, "no device is under it")
        #expect(DiskWatch(directory: directory.path + "/missing") == nil)
    }
}
