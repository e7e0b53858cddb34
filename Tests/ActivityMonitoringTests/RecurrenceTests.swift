import Testing

@testable import ActivityMonitoring

struct RecurrenceTests {
    @Test func whatGoesOnIsNewOnce() {
        var recurrence = Recurrence()
        var news: [Bool] = []
        for what in ["disk full", "disk full", "no such file", "no such file", "disk full"] {
            news.append(recurrence.isNew(what))
        }
        #expect(news == [true, false, true, false, true])
    }

    @Test func whatIsOverIsNewAgain() {
        var recurrence = Recurrence()
        var overs = [recurrence.isOver()]
        _ = recurrence.isNew("disk full")
        overs += [recurrence.isOver(), recurrence.isOver()]
        #expect(overs == [false, true, false])
        let isNew = recurrence.isNew("disk full")
        #expect(isNew)
    }
}
