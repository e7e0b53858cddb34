import Testing

@testable import OperatorTools

struct WaitNoticeTests {
    @Test func wordsComeEveryFewSecondsAndThenLessOften() {
        var notice = WaitNotice()
        var said: [Int] = []
        for second in 0...300 where notice.line("away", waited: Double(second)) != nil {
            said.append(second)
        }
        #expect(said == [1, 6, 11, 21, 41, 81, 141, 201, 261])
    }

    @Test func aShortWaitIsNotWorthAWord() {
        var notice = WaitNotice()
        #expect(notice.line("busy", waited: 0.4) == nil)
        #expect(!notice.hasReported)
        #expect(notice.line("busy", waited: 1.2) == "Waiting for 1 s: busy")
        #expect(notice.hasReported)
    }
}
