import Testing

@testable import RouterRole

struct CrowdWatchTests {
    private static let second: Int64 = 1_000_000_000

    @Test func aCrowdIsToldOnceUntilItHasBeenCalmForAWhile() {
        var watch = CrowdWatch()
        #expect(watch.note(isFull: false, now: 0) == nil)
        #expect(watch.note(isFull: true, now: Self.second) == .began)
        // Connections keep closing and opening.
        for step in Int64(2)...100 {
            #expect(watch.note(isFull: step % 3 == 0, now: step * Self.second) == nil)
        }
        #expect(watch.note(isFull: false, now: 120 * Self.second) == nil)
        #expect(watch.note(isFull: false, now: 160 * Self.second) == .ended)
        #expect(watch.note(isFull: false, now: 400 * Self.second) == nil)
        #expect(watch.note(isFull: true, now: 500 * Self.second) == .began)
    }
}
