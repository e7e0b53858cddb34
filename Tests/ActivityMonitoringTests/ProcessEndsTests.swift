import ActivityMonitoring
import Testing
import TraceModel

@Suite struct ProcessEndsTests {
    private func ends(_ times: [Int64], _ cause: ProcessEnds.Cause = .signal(9)) -> ProcessEnds {
        var ends = ProcessEnds()
        for time in times { ends.add(.init(at: time, cause: cause)) }
        return ends
    }

    @Test func manyEndsWithinAMinuteAreALoopUntilTheProcessHasSettled() {
        let count = Limits.crashLoopFailuresMin
        let few = ends((1..<Int64(count)).map { 1_000 + $0 })
        #expect(!few.isCrashLoop(at: 1_000 + Int64(count)))
        var loop = few
        let last: Int64 = 1_000 + Int64(count)
        loop.add(.init(at: last, cause: .signal(9)))
        #expect(loop.isCrashLoop(at: last) && loop.recent(at: last) == count)
        let settled = last + Int64(Limits.crashLoopSettledSeconds)
        #expect(loop.isCrashLoop(at: settled - 1) && !loop.isCrashLoop(at: settled))
        #expect(loop.recent(at: last + Int64(Limits.crashLoopSeconds)) == 0)
    }

    @Test func rareEndsAreNoLoop() {
        let apart = Int64(Limits.crashLoopSeconds / (Limits.crashLoopFailuresMin - 1))
        for number in Int64(1)...100 {
            let rare = ends((1...number).map { $0 * apart })
            #expect(!rare.isCrashLoop(at: number * apart))
        }
    }

    /// Starts slow down to one in 8 s (`scripts/service/finish`): the loop is still seen as one.
    @Test func aLoopThatIsSlowedDownStaysOne() {
        var slow = ProcessEnds()
        for number in Int64(0)..<40 {
            slow.add(.init(at: number * 9, cause: .signal(9)))
            guard number >= Limits.crashLoopFailuresMin else { continue }
            #expect(slow.isCrashLoop(at: number * 9 + 8))
        }
    }

    @Test func theSupervisorsNotesAreRead() {
        let noted = ProcessEnds(
            parsing: "100 signal 9\nnonsense\n101 exit code 1\n\n102\n103 signal 11\n"
        )
        #expect(
            noted
                == {
                    var expected = ends([100])
                    expected.add(.init(at: 101, cause: .exitCode(1)))
                    expected.add(.init(at: 103, cause: .signal(11)))
                    return expected
                }()
        )
        #expect(noted.last?.cause == .signal(11))
        #expect(ProcessEnds(parsing: "") == ProcessEnds())
        let many = (0..<1_000).map { "\($0) signal 9" }.joined(separator: "\n")
        #expect(ProcessEnds(parsing: many).recent(at: 1_000) == Limits.processEndsMax)
    }

    @Test func aProblemSaysWhatAndWhatToDo() throws {
        let killed = try #require(ends([1, 2, 3, 4, 5, 6]).problem(of: "cpu.0", at: 7))
        for words in ["cpu.0", "6 times", "signal 9 (SIGKILL)", "memory", "--workers"] {
            #expect(killed.contains(words), "\(killed)")
        }
        let crashed = ends([1, 2, 3, 4, 5, 6], .signal(11))
        let text = try #require(crashed.problem(of: "io.1", at: 7))
        #expect(text.contains("SIGSEGV") && text.contains("logs io.1") && !text.contains("memory"))
        #expect(ends([1, 2]).problem(of: "cpu.0", at: 7) == nil)
    }
}
