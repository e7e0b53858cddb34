import ClusterMessages
import Testing
import TraceModel

@testable import AggregatorRole

@Suite struct WindowLedgerTests {
    typealias Make = WindowFactory

    private static func whole(
        _ window: UInt64,
        _ from: LSN,
        _ barrier: LSN,
        resource: Resource = .function
    ) -> SegmentsClosed {
        Make.announcement(
            resource: resource,
            window: window,
            barrier: barrier,
            Make.range(0...255, from, barrier)
        )
    }

    @Test func aWindowIsMergedOnceAllItsSlotsAreAnnounced() throws {
        let ledger = LedgerBench()
        let first = Make.announcement(0, Make.range(0...99, 0, 100))
        let second = Make.announcement(1, Make.range(100...255, 0, 100))
        #expect(ledger.announce(second) == .accepted)
        #expect(ledger.nextJob() == nil)
        #expect(ledger.announce(first) == .accepted)
        let job = try #require(ledger.nextJob())
        #expect(job.announcements == [first, second])
        #expect(job.stem == first.stem)
        // A window being merged is not returned again, and a repeated announcement does not change it.
        #expect(ledger.nextJob() == nil)
        #expect(ledger.announce(first) == .accepted)
        #expect(ledger.nextJob() == nil)
        ledger.finish(job, files: ["a"])
        #expect(ledger.announce(first) == .merged(files: ["a"]))
        #expect(ledger.nextJob() == nil)
        #expect(ledger.marks == [.function: MergedMark(window: 1, barrierLSN: 100, files: ["a"])])
    }

    @Test func windowsOfAResourceAreMergedInOrderEachFromTheLastBarrier() throws {
        let ledger = LedgerBench()
        #expect(ledger.announce(Self.whole(2, 100, 200)) == .accepted)
        // The first window is not announced yet: its records are missing before the second.
        #expect(ledger.nextJob() == nil)
        #expect(ledger.announce(Self.whole(1, 0, 100)) == .accepted)
        let first = try #require(ledger.nextJob())
        #expect(first.window == 1)
        #expect(ledger.nextJob() == nil)
        ledger.finish(first, files: [])
        let second = try #require(ledger.nextJob())
        #expect(second.window == 2)
        ledger.finish(second, files: ["b"])
        #expect(ledger.announce(Self.whole(1, 0, 100)) == .merged(files: []))
    }

    /// The barriers at 100 and 200 were lost with a part of the log after one of two workers had passed them.
    @Test func aWindowWhoseBarrierWasLostIsMergedWithTheNextOneOfAll() throws {
        let ledger = LedgerBench()
        let passed = [
            Make.announcement(0, window: 1, barrier: 100, Make.range(0...99, 0, 100)),
            Make.announcement(0, window: 2, barrier: 200, Make.range(0...99, 100, 200)),
            Make.announcement(0, window: 3, barrier: 900, Make.range(0...99, 200, 900)),
        ]
        for announcement in passed { #expect(ledger.announce(announcement) == .accepted) }
        #expect(ledger.nextJob() == nil)
        let other = Make.announcement(1, window: 3, barrier: 900, Make.range(100...255, 0, 900))
        #expect(ledger.announce(other) == .accepted)
        let job = try #require(ledger.nextJob())
        #expect(job.window == 3 && job.barrierLSN == 900 && job.announcements == passed + [other])
        #expect(ledger.nextJob() == nil)
        ledger.giveBack(job)
        #expect(ledger.nextJob() == job)
        ledger.finish(job, files: ["a"])
        #expect(ledger.announce(passed[0]) == .merged(files: []))
        #expect(ledger.announce(passed[2]) == .merged(files: ["a"]))
        #expect(ledger.announce(Self.whole(4, 900, 1_000)) == .accepted)
        #expect(ledger.nextJob()?.window == 4)
    }

    @Test func resourcesDoNotWaitForOneAnother() throws {
        let ledger = LedgerBench()
        #expect(ledger.announce(Self.whole(1, 0, 100, resource: .gpu)) == .accepted)
        let half = Make.announcement(0, resource: .cpu, Make.range(0...1, 0, 100))
        #expect(ledger.announce(half) == .accepted)
        #expect(ledger.announce(Self.whole(1, 0, 100, resource: .function)) == .accepted)
        #expect(ledger.nextJob(except: [.function])?.resource == .gpu)
        #expect(ledger.nextJob()?.resource == .function)
        #expect(ledger.nextJob() == nil)
        #expect(ledger.obstacle(of: .cpu) == .gap(slot: 2, at: 0))
        #expect(ledger.obstacle(of: .gpu) == nil)
    }

    @Test func aWorkersNewAnnouncementReplacesItsOldOne() {
        let ledger = LedgerBench()
        #expect(ledger.announce(Make.announcement(0, Make.range(0...255, 0, 50))) == .accepted)
        #expect(ledger.nextJob() == nil)
        #expect(ledger.announce(Make.announcement(0, Make.range(0...255, 0, 100))) == .accepted)
        #expect(ledger.nextJob() != nil)
    }

    @Test func anOverlapIsNeverMerged() {
        let ledger = LedgerBench()
        #expect(ledger.announce(Self.whole(1, 0, 100)) == .accepted)
        let other = Make.announcement(1, Make.range(3...3, 20, 40))
        #expect(ledger.announce(other) == .accepted)
        #expect(ledger.nextJob() == nil)
        #expect(ledger.obstacle(of: .function) == .overlap(slot: 3, at: 20))
    }

    @Test func aFailedMergeIsTriedAgain() throws {
        let ledger = LedgerBench()
        _ = ledger.announce(Self.whole(1, 0, 100))
        let job = try #require(ledger.nextJob())
        ledger.giveBack(job)
        #expect(ledger.marks.isEmpty)
        #expect(ledger.nextJob() == job)
    }

    @Test func contradictionsAndFloodsAreRefused() {
        let ledger = LedgerBench()
        _ = ledger.announce(Self.whole(1, 0, 100))
        let elsewhere = Make.announcement(1, barrier: 101, Make.range(0...255, 0, 101))
        let otherwise = Make.announcement(1, stem: "other", Make.range(0...255, 0, 100))
        for wrong in [elsewhere, otherwise] {
            guard case .refused = ledger.announce(wrong) else {
                Issue.record("\(wrong) was not refused")
                continue
            }
        }
        for window in 2...UInt64(Limits.pendingWindowsMax) {
            #expect(ledger.announce(Self.whole(window, 100, 200)) == .accepted)
        }
        let last = ledger.announce(Self.whole(1_000, 100, 200))
        #expect(last == .refused("too many windows wait for their merge"))
        #expect(ledger.announce(Self.whole(1, 0, 100)) == .accepted)
    }

    @Test func aRestartGoesOnAtTheMarks() throws {
        let mark = MergedMark(window: 4, barrierLSN: 400, files: ["f"])
        let ledger = LedgerBench(marks: [.function: mark])
        #expect(ledger.announce(Self.whole(4, 300, 400)) == .merged(files: ["f"]))
        #expect(ledger.announce(Self.whole(5, 400, 500)) == .accepted)
        #expect(ledger.nextJob()?.window == 5)
        // If the marks are lost, the next window is the first one that is complete in itself.
        let lost = LedgerBench(isLost: true)
        #expect(lost.announce(Self.whole(5, 400, 500)) == .accepted)
        #expect(lost.nextJob()?.window == 5)
    }

    @Test(arguments: UInt64(1)...20) func anyOrderOfAnnouncementsMergesEveryWindowOnce(seed: UInt64)
    {
        var announcements: [SegmentsClosed] = []
        for window in UInt64(1)...6 {
            let from = (window - 1) * 100
            let barrier = window * 100
            let cut = UInt8(seed * window % 254)
            let handover = from + seed % 100
            announcements += [
                Make.announcement(
                    0,
                    window: window,
                    barrier: barrier,
                    Make.range(0...cut, from, barrier),
                    Make.range((cut + 1)...255, from, handover)
                ),
                Make.announcement(
                    1,
                    window: window,
                    barrier: barrier,
                    Make.range((cut + 1)...255, handover, barrier)
                ),
            ]
        }
        let ledger = LedgerBench()
        var merged: [UInt64] = []
        while merged.count < 6 {
            for step in announcements.indices {
                // A different order for each seed and round: 5, 7 and 11 have no common factor with 12.
                let stride = [1, 5, 7, 11][Int(seed) % 4]
                let index = (step * stride + Int(seed)) % announcements.count
                let announcement = announcements[index]
                _ = ledger.announce(announcement)
                guard let job = ledger.nextJob() else { continue }
                merged.append(job.window)
                ledger.finish(job, files: [])
            }
        }
        #expect(merged == [1, 2, 3, 4, 5, 6])
        #expect(ledger.nextJob() == nil)
    }
}
