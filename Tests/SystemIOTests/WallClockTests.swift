import Testing

@testable import SystemIO

/// The result of a clock that is set to any year.
struct WallClockTests {
    @Test func timesOutOfRangeAreClamped() {
        #expect(WallClock.clamped(seconds: 1, nanoseconds: 2) == 1_000_000_002)
        #expect(WallClock.clamped(seconds: -1) == -1_000_000_000)
        // From 2262-04-11T23:47:16Z on.
        #expect(WallClock.clamped(seconds: 9_223_372_036, nanoseconds: 854_775_807) == .max)
        #expect(WallClock.clamped(seconds: 9_223_372_036, nanoseconds: 854_775_808) == .max)
        #expect(WallClock.clamped(seconds: .max, nanoseconds: 999_999_999) == .max)
        #expect(WallClock.clamped(seconds: .min) == .min)
    }

    @Test func aTimeLeavesRoomForAdditions() {
        let now = WallClock.now()
        #expect(now > 0 && now <= WallClock.latest)
        // A hundred days.
        #expect(Int64.max - WallClock.latest >= 100 * 86_400 * 1_000_000_000)
    }
}
