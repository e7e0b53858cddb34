package import TraceModel

/// The calls of one Chrome trace, as intervals; 32 bytes a call. `Limits.importCallsMax` bounds them.
package struct Recording {
    package internal(set) var calls: [RecordedCall] = []
    package internal(set) var names: [String] = []
    package internal(set) var threads: [RecordedThread] = []
    /// What the recording calls processes and threads, by their ids; the last name given stays.
    package private(set) var processNames: [UInt32: String] = [:]
    package private(set) var threadNames: [RecordedThread: String] = [:]
    /// Where viewers put the processes, lowest first; 0 is left out.
    package private(set) var processSortIndexes: [UInt32: Int32] = [:]
    /// Epoch nanoseconds of the recording's zero, where the file says it (`baseTimeNanoseconds`).
    package internal(set) var base: EpochNanoseconds?
    /// Events that are no calls, by phase.
    package internal(set) var skippedByPhase: [String: Int] = [:]
    /// Calls without a usable time, process id or thread id.
    package internal(set) var malformed = 0
    /// `E` events without their `B`.
    package internal(set) var unmatchedEnds = 0
    /// True where the file ends before its brackets close.
    package internal(set) var isUnterminated = false

    private var nameIndexes: [String: UInt32] = [:]
    private var nameBytes = 0
    private var threadIndexes: [RecordedThread: UInt32] = [:]

    package init() {}

    /// The earliest start and the latest known time.
    package var span: (first: Int64, last: Int64)? {
        guard let first = calls.lazy.map(\.start).min() else { return nil }
        let last = calls.lazy.map { $0.end == RecordedCall.open ? $0.start : $0.end }.max() ?? first
        return (first, last)
    }

    mutating func add(_ call: RecordedCall) throws {
        guard calls.count < Limits.importCallsMax else { throw Self.tooLarge("calls") }
        calls.append(call)
    }

    mutating func index(ofName name: String) throws -> UInt32 {
        if let known = nameIndexes[name] { return known }
        nameBytes += name.utf8.count
        guard nameBytes <= Limits.importNameBytesMax else { throw Self.tooLarge("function names") }
        let index = UInt32(names.count)
        names.append(name)
        nameIndexes[name] = index
        return index
    }

    mutating func index(of thread: RecordedThread) throws -> UInt32 {
        if let known = threadIndexes[thread] { return known }
        guard threads.count < Limits.importThreadsMax else { throw Self.tooLarge("threads") }
        let index = UInt32(threads.count)
        threads.append(thread)
        threadIndexes[thread] = index
        return index
    }

    /// - Throws: `TraceError(.exhausted)` where the recording names more than `Limits` allow.
    mutating func setName(ofProcess pid: UInt32, _ name: String) throws {
        try checkNames(name)
        processNames[pid] = name
    }

    /// As `setName(ofProcess:_:)`.
    mutating func setName(of thread: RecordedThread, _ name: String) throws {
        try checkNames(name)
        threadNames[thread] = name
    }

    /// As `setName(ofProcess:_:)`.
    mutating func setSortIndex(ofProcess pid: UInt32, _ index: Int32) throws {
        try checkNames("")
        processSortIndexes[pid] = index
    }

    private mutating func checkNames(_ name: String) throws {
        let count = max(processNames.count, threadNames.count, processSortIndexes.count)
        nameBytes += name.utf8.count
        guard count < Limits.importThreadsMax, nameBytes <= Limits.importNameBytesMax else {
            throw Self.tooLarge("names of processes and threads")
        }
    }

    static func tooLarge(_ what: String) -> TraceError {
        TraceError(
            .exhausted,
            "the recording has more \(what) than fit into memory here",
            remedy: "Record a shorter time, or split the file"
        )
    }
}
