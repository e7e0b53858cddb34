import ClusterMessages
import Synchronization
import Testing
import TraceModel

@testable import RouterRole

/// Tests calls that wait for a window's files or for a change of slot owners.
@Suite struct WindowWaitersTests {
    private final class Answers: Sendable {
        private let state = Mutex<[String]>([])
        var all: [String] { state.withLock { $0 } }

        func add(_ text: String) { state.withLock { $0.append(text) } }

        func add(_ outcome: WindowWaiters.Outcome) {
            switch outcome {
            case .success(let files): add(files.joined(separator: " "))
            case .failure(let error): add(error.message)
            }
        }
    }

    private func merged(
        _ resource: Resource,
        _ window: UInt64,
        _ files: [String] = [],
        failure: String? = nil
    ) -> WindowMerged {
        WindowMerged(resource: resource, window: window, files: files, failure: failure)
    }

    @Test func aWindowIsAnsweredOnceAllItsResourcesAreMerged() {
        let waiters = WindowWaiters()
        let answers = Answers()
        waiters.wait(for: 4) { answers.add($0) }
        waiters.merged(merged(.cpu, 3, ["other"]))
        waiters.merged(merged(.cpu, 4, ["b", "c"]))
        waiters.merged(merged(.io, 4, ["a"]))
        // Reported again, as after a restart of the aggregator.
        for resource in Resource.allCases where resource != .gpu {
            waiters.merged(merged(resource, 4, resource == .io ? ["a"] : []))
            waiters.merged(merged(resource, 5, ["others"]))
        }
        #expect(answers.all.isEmpty)
        waiters.merged(merged(.gpu, 4))
        waiters.merged(merged(.gpu, 4, ["late"]))
        #expect(answers.all == ["a b c"])
    }

    /// The aggregator ended before it reported window 4; its successor has merged window 5 when it connects to the
    /// router.
    @Test func aLaterWindowStandsForThoseBeforeIt() {
        let waiters = WindowWaiters()
        let answers = Answers()
        waiters.wait(for: 4) { answers.add($0) }
        waiters.wait(for: 6) { answers.add($0) }
        for resource in Resource.allCases where resource != .gpu {
            waiters.merged(merged(resource, 4, resource == .cpu ? ["file"] : []))
        }
        waiters.merged(merged(.gpu, 5, failure: "no disk"))
        #expect(answers.all.isEmpty)
        waiters.merged(merged(.gpu, 5, ["of another window"]))
        #expect(answers.all == ["file"])
    }

    @Test func aFailureIsToldOnceAllIsKnown() {
        let waiters = WindowWaiters()
        let answers = Answers()
        waiters.wait(for: 1) { answers.add($0) }
        waiters.wait(for: 1) { answers.add($0) }
        for resource in Resource.allCases {
            #expect(answers.all.isEmpty)
            waiters.merged(merged(resource, 1, failure: resource == .io ? "no disk" : nil))
        }
        #expect(answers.all.count == 2)
        #expect(answers.all.allSatisfy { $0.contains("no disk") })
    }

    /// The fabric learns of a change of owners after the committer; its earlier reports are not about that change.
    @Test func aHandoverIsOverOnceTheFabricHasSeenItAndNobodyWaits() {
        let waiters = WindowWaiters()
        let answers = Answers()
        waiters.waitForHandover(behind: 7) { answers.add("done") }
        waiters.handedOver(window: 7, isComplete: true)
        #expect(answers.all.isEmpty)
        waiters.handedOver(window: 8, isComplete: false)
        #expect(answers.all.isEmpty)
        waiters.handedOver(window: 9, isComplete: true)
        waiters.handedOver(window: 9, isComplete: true)
        #expect(answers.all == ["done"])
    }
}
