package import TraceModel

/// One call of a recording, times in nanoseconds of the recording's own clock.
package struct RecordedCall: Equatable, Sendable {
    /// The end of a call that was open when the recording stopped.
    package static let open = Int64.max

    package var start: Int64
    package var end: Int64
    /// Index into `Recording.names`.
    package var name: UInt32
    /// Index into `Recording.threads`.
    package var thread: UInt32
    /// Position in the file, which decides between calls of the same times.
    package var order: UInt32
    /// Events it was made of: an `X`, a `B` alone, or `B` and `E`.
    package var events: UInt8 = 1
    /// Whether its own end is missing: `end` is that of the call around it, or `open`.
    package var isUnfinished = false
}

/// Why an event of a recording is not imported. Those of other phases are counted by phase.
package enum SkipReason: String, CaseIterable, Sendable {
    case notAnObject = "not_an_object"
    case noPhase = "no_phase"
    case noTime = "no_time"
    case noID = "no_id"
    case noName = "no_name"
    case badDuration = "bad_duration"
    case endWithoutBegin = "end_without_begin"
    case farAway = "far_away"
    case unusedName = "unused_name"

    /// For people, behind a count.
    var text: String {
        switch self {
        case .notAnObject: "that are no objects"
        case .noPhase: "without a phase"
        case .noTime: "without a usable time"
        case .noID: "without a usable process or thread id"
        case .noName: "without a name"
        case .badDuration: "whose duration is no usable number"
        case .endWithoutBegin: "that end a call whose begin is missing"
        case .farAway: "more than a day from all others"
        case .unusedName:
            "that name what is not sent: a process or thread without calls, or thread 0"
        }
    }

    /// Whether the event is not as the format wants it.
    var isMalformed: Bool {
        switch self {
        case .notAnObject, .noPhase, .noTime, .noID, .noName, .badDuration: true
        case .endWithoutBegin, .farAway, .unusedName: false
        }
    }
}

/// The calls of one Chrome trace, as intervals; 32 bytes a call. `Limits.importCallsMax` bounds them.
package struct Recording {
    private static let dayNanoseconds: Int64 = 86_400_000_000_000
    /// A call that ends later than this after the last one began has no end that means anything: recorders write the largest
    /// number there is for calls that were open at their end.
    private static let endAheadNanosecondsMax = 366 * dayNanoseconds
    /// So many calls, or one in so many of all, are few.
    private static let fewCalls = 8
    private static let fewCallsDivisor = 10

    package internal(set) var calls: [RecordedCall] = []
    package private(set) var names: [String] = []
    package private(set) var processes: [RecordedProcess] = []
    package private(set) var threads: [RecordedThread] = []
    /// Epoch nanoseconds of the recording's zero, where the file says it, and the field that does.
    package internal(set) var base: (time: EpochNanoseconds, field: String)?
    /// Events read, each either imported or in one of the counts of those that were skipped.
    package internal(set) var eventsRead = 0
    /// Events whose phase is none that is imported, by phase.
    package internal(set) var skippedByPhase: [String: Int] = [:]
    package private(set) var skipped: [SkipReason: Int] = [:]
    /// Calls whose end was so far away that it meant nothing.
    package private(set) var farEnds = 0
    /// True where the file ends before its brackets close.
    package internal(set) var isUnterminated = false
    /// Bytes behind the document's end that were not read as events.
    package internal(set) var strayBytes = 0

    private var nameIndexes: [TextKey: UInt32] = [:]
    private var nameBytes = 0
    private var processIndexes: [RecordedID: UInt32] = [:]
    private var threadIndexes: [ThreadKey: UInt32] = [:]

    /// A thread of a recorded process.
    private struct ThreadKey: Hashable {
        let process: UInt32
        let id: RecordedID
    }

    package init() {}

    /// The days, counted from the recording's zero, that hold most of its calls; others are more than a day from these.
    private var mainDays: ClosedRange<Int64>?

    /// The earliest start and the latest known time of the calls that place the recording: those of its main days.
    package var span: (first: Int64, last: Int64)? {
        var span: (first: Int64, last: Int64)?
        for call in calls where mainDays?.contains(Self.day(of: call.start)) ?? true {
            let last = call.end == RecordedCall.open ? call.start : call.end
            span = (min(span?.first ?? .max, call.start), max(span?.last ?? .min, last))
        }
        return span
    }

    /// Calls without an end of their own.
    package var unfinishedCalls: Int { calls.count { $0.isUnfinished } }

    // MARK: Account

    mutating func skip(_ reason: SkipReason, _ count: Int = 1) {
        if count > 0 { skipped[reason, default: 0] += count }
    }

    /// Events that are skipped, whatever the reason.
    package var eventsSkipped: Int {
        skipped.values.reduce(0, +) + skippedByPhase.values.reduce(0, +)
    }

    /// Events that calls and names were made of.
    package var eventsImported: Int {
        calls.reduce(0) { $0 + Int($1.events) }
            + processes.reduce(0) { $0 + ($1.hasCalls ? $1.namings : 0) }
            + threads.reduce(0) { $0 + ($1.isNamed ? $1.namings : 0) }
    }

    // MARK: Reading

    mutating func add(_ call: RecordedCall) throws {
        guard calls.count < Limits.importCallsMax else { throw Self.tooLarge("calls") }
        calls.append(call)
    }

    mutating func index(ofName name: String) throws -> UInt32 {
        let key = TextKey(name)
        if let known = nameIndexes[key] { return known }
        try hold(name.utf8.count, "function names")
        let index = UInt32(names.count)
        names.append(name)
        nameIndexes[key] = index
        return index
    }

    mutating func index(ofProcess id: RecordedID) throws -> UInt32 {
        if let known = processIndexes[id] { return known }
        guard processes.count < Limits.importThreadsMax else { throw Self.tooLarge("processes") }
        try hold(id.bytes, "process ids")
        let index = UInt32(processes.count)
        processes.append(RecordedProcess(id: id))
        processIndexes[id] = index
        return index
    }

    mutating func index(ofThread id: RecordedID, ofProcess processID: RecordedID) throws -> UInt32 {
        let key = ThreadKey(process: try index(ofProcess: processID), id: id)
        if let known = threadIndexes[key] { return known }
        guard threads.count < Limits.importThreadsMax else { throw Self.tooLarge("threads") }
        try hold(id.bytes, "thread ids")
        let index = UInt32(threads.count)
        threads.append(RecordedThread(process: key.process, id: id))
        threadIndexes[key] = index
        return index
    }

    mutating func name(process id: RecordedID, _ name: String) throws {
        try hold(name.utf8.count, "names of processes and threads")
        let index = Int(try index(ofProcess: id))
        processes[index].name = name
        processes[index].namings += 1
    }

    mutating func place(process id: RecordedID, _ sortIndex: Int32) throws {
        let index = Int(try index(ofProcess: id))
        processes[index].sortIndex = sortIndex
        processes[index].namings += 1
    }

    mutating func name(
        thread id: RecordedID,
        ofProcess processID: RecordedID,
        _ name: String
    ) throws {
        try hold(name.utf8.count, "names of processes and threads")
        let index = Int(try index(ofThread: id, ofProcess: processID))
        threads[index].name = name
        threads[index].namings += 1
    }

    private mutating func hold(_ bytes: Int, _ what: String) throws {
        nameBytes += bytes
        guard nameBytes <= Limits.importNameBytesMax else { throw Self.tooLarge(what) }
    }

    static func tooLarge(_ what: String) -> TraceError {
        TraceError(
            .exhausted,
            "the recording has more \(what) than fit into memory here",
            remedy: "Record a shorter time, or split the file"
        )
    }

    // MARK: Behind the last event

    /// Everything is read: leaves out what is far from all other calls, and chooses the ids on the wire.
    mutating func finish() {
        leaveOutFarCalls()
        openFarEnds()
        noteWhatHasCalls()
        numberProcesses()
        numberThreads()
        countUnusedNames()
    }

    /// Leaves out calls that can't stand at their time `shift` nanoseconds later: before 1970 or, in nanoseconds, beyond what 64
    /// bits hold.
    package mutating func leaveOutCallsThatCannotStand(shiftedBy shift: Int64) {
        leaveOutFar { call in
            let last = call.end == RecordedCall.open ? call.start : call.end
            let (first, isFirstBeyond) = call.start.addingReportingOverflow(shift)
            return isFirstBeyond || first < 0 || last.addingReportingOverflow(shift).overflow
        }
        noteWhatHasCalls()
        countUnusedNames()
    }

    private mutating func leaveOutFar(where isFar: (RecordedCall) -> Bool) {
        var events = 0
        calls.removeAll { call in
            guard isFar(call) else { return false }
            events += Int(call.events)
            return true
        }
        skip(.farAway, events)
    }

    private mutating func noteWhatHasCalls() {
        for index in processes.indices { processes[index].hasCalls = false }
        for index in threads.indices { threads[index].hasCalls = false }
        for call in calls where !threads[Int(call.thread)].hasCalls {
            threads[Int(call.thread)].hasCalls = true
            processes[Int(threads[Int(call.thread)].process)].hasCalls = true
        }
    }

    private mutating func countUnusedNames() {
        let unused =
            processes.reduce(0) { $0 + ($1.hasCalls ? 0 : $1.namings) }
            + threads.reduce(0) { $0 + ($1.isNamed ? 0 : $1.namings) }
        skipped[.unusedName] = unused > 0 ? unused : nil
    }

    /// A time that is missing is often written as 0, or as the largest number: such a call would move all others where the
    /// recording is placed by its first or last event, and draw any picture of them out to decades. Calls are grouped by days
    /// that follow one another: the largest group places the recording, and where all others together are few, they are left out.
    private mutating func leaveOutFarCalls() {
        var callsByDay: [Int64: Int] = [:]
        for call in calls { callsByDay[Self.day(of: call.start), default: 0] += 1 }
        guard callsByDay.count > 1 else { return }
        var groups: [(days: ClosedRange<Int64>, calls: Int)] = []
        for (day, count) in callsByDay.sorted(by: { $0.key < $1.key }) {
            if let last = groups.last, day - last.days.upperBound <= 1 {
                groups[groups.count - 1] = (last.days.lowerBound...day, last.calls + count)
            } else {
                groups.append((day...day, count))
            }
        }
        guard let main = groups.max(by: { $0.calls < $1.calls }) else { return }
        mainDays = main.days
        let others = calls.count - main.calls
        let few = max(Self.fewCalls, calls.count / Self.fewCallsDivisor)
        guard others <= few, 2 * others <= main.calls else { return }
        leaveOutFar { !main.days.contains(Self.day(of: $0.start)) }
    }

    private mutating func openFarEnds() {
        guard let last = calls.lazy.map(\.start).max() else { return }
        let (limit, isBeyond) = last.addingReportingOverflow(Self.endAheadNanosecondsMax)
        guard !isBeyond else { return }
        for index in calls.indices
        where calls[index].end > limit && calls[index].end != RecordedCall.open {
            calls[index].end = RecordedCall.open
            calls[index].isUnfinished = true
            farEnds += 1
        }
    }

    private static func day(of time: Int64) -> Int64 {
        let (day, rest) = time.quotientAndRemainder(dividingBy: dayNanoseconds)
        return rest < 0 ? day - 1 : day
    }

    /// Ids that fit into what the wire has are kept, others get those that are free, from 1. A process has none of 0, which
    /// says on the wire that the thread's is meant.
    private mutating func numberProcesses() {
        var numbers = WireNumbers()
        numbers.take(0)
        for isHexadecimal in [false, true] {
            for index in processes.indices
            where processes[index].hasCalls && processes[index].pid == 0 {
                guard let number = processes[index].id.wireNumber(isHexadecimal: isHexadecimal),
                    numbers.take(number)
                else { continue }
                processes[index].pid = number
            }
        }
        for index in processes.indices where processes[index].hasCalls && processes[index].pid == 0
        {
            processes[index].pid = numbers.next()
        }
    }

    /// The same of threads, process by process.
    private mutating func numberThreads() {
        var numbers = [WireNumbers](repeating: WireNumbers(), count: processes.count)
        var isNumbered = [Bool](repeating: false, count: threads.count)
        for isHexadecimal in [false, true] {
            for index in threads.indices where threads[index].hasCalls && !isNumbered[index] {
                guard let number = threads[index].id.wireNumber(isHexadecimal: isHexadecimal),
                    numbers[Int(threads[index].process)].take(number)
                else { continue }
                threads[index].tid = number
                isNumbered[index] = true
            }
        }
        for index in threads.indices where threads[index].hasCalls && !isNumbered[index] {
            threads[index].tid = numbers[Int(threads[index].process)].next()
        }
    }
}

/// Which ids on the wire are given.
private struct WireNumbers {
    private var taken: Set<UInt32> = []
    private var last: UInt32 = 0

    /// False where it is given already.
    @discardableResult mutating func take(_ number: UInt32) -> Bool {
        taken.insert(number).inserted
    }

    /// The least from 1 that is free. There are more than `Limits.importThreadsMax`.
    mutating func next() -> UInt32 {
        repeat { last += 1 } while !take(last)
        return last
    }
}
