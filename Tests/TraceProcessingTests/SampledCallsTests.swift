import SystemIO
import Testing
import TraceModel

@testable import TraceProcessing

/// Calls proved from some of their entries and exits, against a naive model of the rule.
@Suite struct SampledCallsTests {
    // MARK: Single cases

    @Test func aPairIsASliceAndAllElseIsNot() {
        var run = SampledRun()
        run.enter(0, count: 1, at: 10)
        run.enter(1, count: 1, at: 20)
        run.exit(1, count: 2, at: 30)
        run.exit(0, count: 1, at: 40)
        run.endWindow()
        #expect(run.calls.map(\.nanoseconds) == [30])
        #expect(run.shown(window: 0) == ["i30", "i20", "B10", "E40"])
    }

    @Test func callsAtOneTimeNestAsTheyWereMade() {
        var run = SampledRun()
        run.enter(0, count: 1, at: 10)
        run.enter(1, count: 1, at: 10)
        run.exit(1, count: 1, at: 10)
        run.enter(2, count: 1, at: 10)
        run.exit(2, count: 1, at: 12)
        #expect(run.shown(window: 0) == ["E12"], "the others wait for what is around them")
        run.exit(0, count: 1, at: 20)
        run.endWindow()
        #expect(run.shown(window: 0) == ["E12", "B10", "B10", "E10", "B10", "E20"])
        expectNesting(run)
    }

    /// A row that waits behind an entry which an earlier window shows is written in the window in which it came.
    @Test func rowsBehindAShownEntryAreWrittenInTheirWindow() {
        var run = SampledRun()
        for function in 0..<3 { run.enter(UInt32(function), count: 1, at: 10) }
        run.endWindow()
        #expect(run.waitingCount == 0)
        run.exit(2, count: 1, at: 20)
        #expect(run.waitingCount == 1, "what waits has to be asked for at the window's end")
        run.endWindow()
        run.exit(1, count: 1, at: 30)
        run.exit(0, count: 1, at: 40)
        run.endWindow()
        #expect(run.shown(window: 1) == ["E20", "B10"])
        #expect(run.shown(window: 2) == ["E30", "B10", "B10", "E40"])
        expectNesting(run)
    }

    @Test(arguments: [
        // An exit before its entry.
        [(true, 0, 20), (false, 0, 10)],
        // A call in another one, ended after it.
        [(true, 0, 10), (true, 1, 20), (false, 1, 50), (false, 0, 40)],
        // A late call across one that is shown.
        [(true, 0, 20), (false, 0, 30), (true, 1, 15), (false, 1, 25)],
        [(true, 0, 20), (false, 0, 30), (true, 1, 15), (false, 1, 35)],
        // An entry in one that is later.
        [(true, 0, 20), (true, 1, 15), (false, 1, 30), (false, 0, 40)],
    ]) func callsWhoseTimesContradictAreInstants(_ events: [(Bool, Int, Int64)]) {
        var run = SampledRun()
        for (isEntry, function, time) in events {
            if isEntry {
                run.enter(UInt32(function), count: 1, at: time)
            } else {
                run.exit(UInt32(function), count: 1, at: time)
            }
        }
        run.endWindow()
        #expect(run.calls.count == events.count / 2, "they are proved all the same")
        #expect(run.calls.allSatisfy { $0.nanoseconds >= 0 && $0.selfNanoseconds >= 0 })
        expectNesting(run)
        expectEverythingOnce(run)
        #expect(run.shown(window: 0).contains { $0.hasPrefix("i") })
    }

    /// One that waits with a time far ahead does not keep others from being slices.
    @Test func anEntryFarAheadHidesNothing() {
        var run = SampledRun()
        run.enter(0, count: 1, at: 4_000_000_000)
        run.enter(1, count: 1, at: 10)
        run.exit(1, count: 1, at: 20)
        run.endWindow()
        #expect(run.shown(window: 0) == ["B10", "E20", "i4000000000"])
    }

    @Test func anImpossibleExitProvesNothing() {
        var run = SampledRun()
        run.enter(0, count: 1, at: 10)
        run.enter(1, count: 1, at: 20)
        run.exit(0, count: 1, at: 4_000_000_000, isPossible: false)
        run.exit(1, count: 1, at: 30)
        #expect(run.calls.isEmpty && run.settled == 0 && run.openCount == 0)
        #expect(run.shown(window: 0) == ["i20", "i10", "i4000000000", "i30"])
    }

    @Test func recursionUnwindsByCount() {
        var run = SampledRun()
        for count in UInt64(1)...3 { run.enter(0, count: count, at: Int64(count) * 10) }
        // Exits carry the count so far: only the innermost one can be proved.
        for exit in Int64(1)...3 { run.exit(0, count: 3, at: 30 + exit * 10) }
        run.endWindow()
        #expect(run.calls.map(\.nanoseconds) == [10])
        #expect(run.shown(window: 0) == ["i10", "i20", "B30", "E40", "i50", "i60"])
    }

    @Test func timeInsideIsNotACallsOwn() {
        var run = SampledRun()
        run.enter(0, count: 1, at: 10)
        run.enter(1, count: 1, at: 20)
        run.enter(2, count: 1, at: 30)
        run.exit(2, count: 1, at: 35)
        run.exit(1, count: 9, at: 40)
        #expect(run.settled == 0)
        run.exit(0, count: 1, at: 60)
        #expect(run.calls.map(\.selfNanoseconds) == [5, 45])
        #expect(run.settled == 50)
    }

    @Test func aCallIsStuckWhereNothingCameSince() {
        var run = SampledRun()
        run.enter(0, count: 1, at: 10, tid: 1)
        run.enter(0, count: 2, at: 10, tid: 2)
        run.exit(1, count: 1, at: 11, tid: 2)
        #expect(run.takeStuck(until: 9).isEmpty)
        #expect(run.takeStuck(until: 10) == [1])
        #expect(run.takeStuck(until: 10).isEmpty, "once")
    }

    // MARK: Bounds

    @Test(.timeLimit(.minutes(2))) func whatWaitsIsBounded() {
        let most = Limits.openSlicesPerThreadMax
        var run = SampledRun(keepsRows: false)
        // Entries without exits, exits without entries, all at one time.
        for number in 0..<8_000 {
            run.enter(0, cookie: Int64(number), count: 0, at: 5)
            run.exit(1, cookie: Int64(number), count: 0, at: 5)
            if run.openCount > most || run.waitingCount > most {
                Issue.record("\(run.waitingCount) wait")
                return
            }
        }
        #expect(run.evicted > 7_000)
        // Calls in a call that began at the same time wait with it, until they are too many.
        for number in 0..<8_000 {
            run.enter(2, cookie: Int64(number), count: 0, at: 6)
            run.exit(2, cookie: Int64(number), count: 0, at: 6)
            if number % 100 == 0 { run.enter(3, cookie: Int64(number), count: 0, at: 6) }
            guard run.waitingCount > 2 * most else { continue }
            Issue.record("\(run.waitingCount) wait")
            return
        }
        #expect(run.calls.count == 8_000)
        // As deep as can be, and out again.
        for number in 0..<most { run.enter(4, cookie: Int64(number), count: 0, at: 7) }
        let before = run.calls.count
        for number in (0..<most).reversed() { run.exit(4, cookie: Int64(number), count: 0, at: 7) }
        #expect(run.calls.count > before + most / 2)
        #expect(run.waitingCount <= 2 * most)
    }

    /// Threads that give way leave nothing behind, and what waited of them is shown.
    @Test func threadsThatGiveWayLeaveTheirRows() {
        var run = SampledRun()
        for tid in 1...100 as ClosedRange<UInt32> {
            run.enter(0, count: 1, at: Int64(tid), tid: tid)
            run.enter(1, count: 1, at: Int64(tid), tid: tid)
            run.exit(1, count: 1, at: Int64(tid), tid: tid)
        }
        let bytes = run.stateBytes
        #expect(run.openCount == 100)
        run.giveUp(all: true)
        #expect(run.openCount == 0 && run.waitingCount == 0 && run.evicted == 100)
        #expect(run.stateBytes < bytes / 50)
        #expect(run.windows[0].count == 300, "every event has its row")
        run.exit(0, count: 1, at: 200, tid: 5)
        #expect(run.calls.count == 100, "an exit that comes later has no partner")
    }

    // MARK: Random streams

    @Test(arguments: UInt64(0)..<60) func sampledProgramsGiveTheCallsOfTheRule(seed: UInt64) {
        check(SampledStream.program(seed: seed, events: 600), seed: seed)
    }

    /// Any order of entries and exits; counts from which nothing follows.
    @Test(arguments: UInt64(100)..<160) func anyOrderGivesTheCallsOfTheRule(seed: UInt64) {
        check(SampledStream.any(seed: seed, events: 600, counts: [0, 5], backwards: 0), seed: seed)
    }

    @Test(arguments: UInt64(200)..<280) func timesThatGoBackSpoilNoTrace(seed: UInt64) {
        check(SampledStream.any(seed: seed, events: 600, counts: [0, 5], backwards: 9), seed: seed)
    }

    /// Counts that fall and jump: what is called proved can be at least.
    @Test(arguments: UInt64(300)..<360) func anyCountsSpoilNoTrace(seed: UInt64) {
        let counts = [0, 1, 2, 3, 4, 8, .max, .max - 1] as [UInt64]
        let stream = SampledStream.any(seed: seed, events: 600, counts: counts, backwards: 4)
        check(stream, seed: seed, isExact: false)
    }

    private func check(_ stream: [SampledStream.Event], seed: UInt64, isExact: Bool = true) {
        var random = SplitMix(seed: seed ^ 0xFEED)
        var run = SampledRun()
        var saved = SampledRun()
        var naive = NaiveCalls()
        var expected: [NaiveCalls.Call] = []
        for event in stream {
            run.put(event)
            saved.put(event)
            if let call = naive.put(event) { expected.append(call) }
            if random.below(20) == 0 { saved.reload() }
            guard random.below(150) == 0 else { continue }
            run.endWindow()
            saved.endWindow()
        }
        run.endWindow()
        saved.endWindow()
        #expect(saved.rows == run.rows && saved.state == run.state, "seed \(seed)")
        #expect(run.openCount <= Limits.openSlicesPerThreadMax * 3 && run.waitingCount == 0)
        expectEverythingOnce(run)
        expectNesting(run)
        let actual = run.calls.map {
            NaiveCalls.Call(
                began: $0.began,
                nanoseconds: $0.nanoseconds,
                selfNanoseconds: $0.selfNanoseconds
            )
        }
        if isExact {
            #expect(actual == expected, "seed \(seed)")
        } else {
            #expect(actual.allSatisfy { $0.nanoseconds >= 0 && $0.selfNanoseconds >= 0 })
        }
        // Times in order: every call is a slice.
        let isOrdered = zip(stream, stream.dropFirst()).allSatisfy { $0.time <= $1.time }
        let slices = run.windows.joined().count { $0.kind == .end }
        #expect(isOrdered ? slices == run.calls.count : slices <= run.calls.count)
    }

    // MARK: What must hold of the rows

    /// Every entry and exit came out once; entries that a window showed may begin a later one again.
    private func expectEverythingOnce(_ run: borrowing SampledRun) {
        var entries: [UInt64: Int] = [:]
        var exits: [UInt64: Int] = [:]
        for (number, window) in run.windows.enumerated() {
            for row in window {
                // The number of the event stands in the mean.
                let event = run.events[Int(row.averageMicroseconds)]
                #expect(row.kind != .open && row.time == event.time && row.tid == event.tid)
                #expect(row.cookie == event.cookie && row.callCount == event.count)
                if event.isEntry {
                    #expect(row.kind != .end)
                    if row.isShown, row.kind == .begin {
                        let first = run.windowShown[row.averageMicroseconds]
                        #expect(first.map { $0 < number } ?? false)
                    } else {
                        entries[row.averageMicroseconds, default: 0] += 1
                    }
                } else {
                    #expect(row.kind != .begin)
                    exits[row.averageMicroseconds, default: 0] += 1
                }
            }
        }
        for (number, event) in run.events.enumerated() {
            let count = (event.isEntry ? entries : exits)[UInt64(number)]
            #expect(count == 1, "\(event) came out \(count ?? 0) times")
        }
        #expect(entries.count + exits.count == run.events.count)
    }

    /// In each window begins and ends of a thread, put in a stable order by time, nest.
    private func expectNesting(_ run: borrowing SampledRun) {
        for window in run.windows {
            let slices = window.filter { $0.kind == .begin || $0.kind == .end }
            let ordered = slices.enumerated().sorted {
                ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
            }
            .map(\.element)
            for (tid, rows) in Dictionary(grouping: ordered, by: \.tid) {
                var stack: [SampledCalls.Record] = []
                for row in rows {
                    if row.kind == .begin {
                        stack.append(row)
                        continue
                    }
                    guard let begin = stack.popLast() else {
                        Issue.record("\(row) of \(tid) ends nothing")
                        return
                    }
                    #expect(begin.function == row.function && begin.cookie == row.cookie)
                    #expect(begin.callCount == row.callCount)
                    #expect(row.nanoseconds == row.time - begin.time)
                }
                #expect(stack.isEmpty, "left open on \(tid)")
                #expect(stack.count <= Limits.openSlicesPerThreadMax)
            }
        }
    }
}

// MARK: - The value under test

/// Drives a value and keeps what came out of it, by window.
private struct SampledRun: ~Copyable {
    private var sampled = SampledCalls()
    private var totals = SlotTotals()
    private let keepsRows: Bool
    private(set) var windows: [[SampledCalls.Record]] = [[]]
    private(set) var events: [SampledStream.Event] = []
    private(set) var calls: [SampledCalls.Call] = []
    private(set) var settled: UInt64 = 0
    /// In which window an entry stands as an instant, by the event's number.
    private(set) var windowShown: [UInt64: Int] = [:]

    init(keepsRows: Bool = true) { self.keepsRows = keepsRows }

    var openCount: Int { sampled.openCount }
    var waitingCount: Int { sampled.waitingCount }
    var evicted: UInt64 { totals.openCallsEvicted }
    var stateBytes: Int { sampled.stateBytes }

    mutating func giveUp(all: Bool) {
        var sweep = StateSweep(at: 0)
        sampled.noteEntries(&sweep)
        sweep.decide(freeing: all ? .max : 0)
        sampled.giveUp(&sweep, &totals)
        takeReady()
    }

    var state: [UInt8] {
        var buffer = RawBuffer()
        sampled.encode(into: &buffer)
        return Array(buffer.bytes)
    }

    mutating func enter(
        _ function: UInt32,
        cookie: Int64 = 1,
        count: UInt64,
        at time: EpochNanoseconds,
        tid: UInt32 = 1
    ) {
        put(
            SampledStream.Event(
                isEntry: true,
                function: function,
                cookie: cookie,
                count: count,
                tid: tid,
                time: time
            )
        )
    }

    mutating func exit(
        _ function: UInt32,
        cookie: Int64 = 1,
        count: UInt64,
        at time: EpochNanoseconds,
        tid: UInt32 = 1,
        isPossible: Bool = true
    ) {
        put(
            SampledStream.Event(
                isEntry: false,
                function: function,
                cookie: cookie,
                count: count,
                tid: tid,
                time: time
            ),
            isPossible: isPossible
        )
    }

    mutating func put(_ event: SampledStream.Event, isPossible: Bool = true) {
        let record = SampledCalls.Record(
            cookie: event.cookie,
            callCount: event.count,
            averageMicroseconds: UInt64(events.count),
            time: event.time,
            function: event.function,
            tid: event.tid,
            eventType: event.isEntry ? 0 : 1,
            kind: event.isEntry ? .open : .instant
        )
        if keepsRows { events.append(event) }
        if event.isEntry {
            sampled.enter(record, used: 0, &totals)
        } else if let call = sampled.exit(record, used: 0, isPossible: { _ in isPossible }) {
            calls.append(call)
        }
        settled += sampled.takeSettled()
        takeReady()
    }

    mutating func endWindow() {
        sampled.showAll()
        takeReady()
        windows.append([])
    }

    mutating func reload() {
        let saved = state
        saved.withUnsafeBytes {
            var reader = StateReader($0)
            do {
                sampled = try SampledCalls(decoding: &reader)
                #expect(reader.isAtEnd)
            } catch { Issue.record(error) }
        }
        #expect(state == saved)
    }

    mutating func takeStuck(until limit: EpochNanoseconds) -> [UInt32] {
        sampled.takeStuck(until: limit).map(\.tid)
    }

    private mutating func takeReady() {
        for record in sampled.ready.elements where keepsRows {
            windows[windows.count - 1].append(record)
            guard record.kind == .instant, record.eventType == 0 else { continue }
            windowShown[record.averageMicroseconds] = windows.count - 1
        }
        sampled.removeReady()
    }

    /// All that came out, as text.
    var rows: [String] { windows.map { "\($0)" } }

    /// Rows as phase and time, in the order in which they came out.
    func shown(window: Int) -> [String] {
        windows[window].map { row in
            switch row.kind {
            case .begin: "B\(row.time)"
            case .end: "E\(row.time)"
            case .instant: "i\(row.time)"
            case .open: "open \(row.time)"
            }
        }
    }
}

// MARK: - The rule

/// The rule in its plainest form: thread, function, cookie and count agree; an exit closes what is open inside.
private struct NaiveCalls {
    struct Call: Equatable {
        let began: EpochNanoseconds
        let nanoseconds: Int64
        let selfNanoseconds: Int64
    }

    private struct Entry {
        let event: SampledStream.Event
        let number: Int
    }

    private var open: [UInt32: [Entry]] = [:]
    /// Calls that no call around them is known of, by thread: which entry they began with, and how long they took.
    private var roots: [UInt32: [(number: Int, nanoseconds: Int64)]] = [:]
    private var number = 0

    mutating func put(_ event: SampledStream.Event) -> Call? {
        number += 1
        guard !event.isEntry else {
            open[event.tid, default: []].append(Entry(event: event, number: number))
            return nil
        }
        let entries = open[event.tid, default: []]
        guard
            let position = entries.lastIndex(where: {
                $0.event.function == event.function && $0.event.cookie == event.cookie
                    && $0.event.count == event.count
            })
        else { return nil }
        let entry = entries[position]
        open[event.tid] = Array(entries[..<position])
        let inside = roots[event.tid, default: []].filter { $0.number > entry.number }
        let nanoseconds = max(event.time - entry.event.time, 0)
        roots[event.tid, default: []].removeAll { $0.number > entry.number }
        roots[event.tid, default: []].append((entry.number, nanoseconds))
        return Call(
            began: entry.event.time,
            nanoseconds: nanoseconds,
            selfNanoseconds: max(nanoseconds - inside.reduce(0) { $0 + $1.nanoseconds }, 0)
        )
    }
}

// MARK: - Streams

private enum SampledStream {
    struct Event {
        let isEntry: Bool
        let function: UInt32
        let cookie: Int64
        let count: UInt64
        let tid: UInt32
        let time: EpochNanoseconds
    }

    /// A program of three threads and four functions, of whose entries and exits some are left out. Many share a time.
    static func program(seed: UInt64, events count: Int) -> [Event] {
        var random = SplitMix(seed: seed)
        var stacks: [[UInt32]] = [[], [], []]
        var counts = [UInt64](repeating: 0, count: 4)
        var events: [Event] = []
        var time: EpochNanoseconds = 1_000
        let sentOfTen = 3 + random.below(8)
        while events.count < count {
            if random.below(4) == 0 { time += EpochNanoseconds(random.below(3)) }
            let thread = random.below(3)
            let isEntry =
                stacks[thread].isEmpty || (stacks[thread].count < 9 && random.below(2) == 0)
            let function = isEntry ? UInt32(random.below(4)) : stacks[thread].removeLast()
            if isEntry {
                stacks[thread].append(function)
                counts[Int(function)] += 1
            }
            guard random.below(10) < sentOfTen else { continue }
            events.append(
                Event(
                    isEntry: isEntry,
                    function: function,
                    cookie: Int64(function),
                    count: counts[Int(function)],
                    tid: UInt32(thread),
                    time: time
                )
            )
        }
        return events
    }

    static func any(seed: UInt64, events count: Int, counts: [UInt64], backwards: Int64) -> [Event]
    {
        var random = SplitMix(seed: seed)
        var time: EpochNanoseconds = 1_000
        return (0..<count).map { _ in
            if random.below(3) == 0 { time += EpochNanoseconds(random.below(4)) }
            if backwards > 0, random.below(12) == 0 {
                time -= EpochNanoseconds(random.below(Int(backwards)))
            }
            return Event(
                isEntry: random.below(2) == 0,
                function: UInt32(random.below(3)),
                cookie: Int64(random.below(2)),
                count: counts[random.below(counts.count)],
                tid: UInt32(random.below(3)),
                time: time
            )
        }
    }
}
