import TraceModel

/// Reads a Chrome trace: an object with `traceEvents`, or a bare array, which may lack its end; and what follows it of the same
/// kind, as where files were put behind one another.
package struct ChromeTraceReader {
    private let json: JSONPullReader
    private let source: any ByteSource
    private var recording = Recording()
    private var boundaries: [CallBoundary] = []
    private var fields = EventFields()
    /// The thread of the last call, as most events are of the same one as the one before.
    private var lastThread: (pid: IDField, tid: IDField, index: UInt32)?
    /// Reports progress: bytes read, and bytes in all. An error that it throws ends reading.
    package var onProgress: ((_ done: Int, _ total: Int) throws -> Void)?

    /// A number of an event.
    private enum Field {
        case missing
        case unreadable
        case value(Int64)
    }

    /// The members of one event that matter; reused from event to event.
    private struct EventFields {
        var phase: UInt8 = 0
        var name: [UInt8] = []
        var hasName = false
        var time = Field.missing
        var duration = Field.missing
        var pid = IDField()
        var tid = IDField()
        /// Of `args`: what a metadata event says.
        var named: [UInt8] = []
        var hasNamed = false
        var sortIndex: Int64?

        mutating func clear() {
            phase = 0
            name.removeAll(keepingCapacity: true)
            hasName = false
            time = .missing
            duration = .missing
            pid.clear()
            tid.clear()
            hasNamed = false
            sortIndex = nil
        }
    }

    /// A process or thread id of an event.
    private struct IDField: Equatable {
        /// How the field was given.
        enum State {
            case missing
            case unreadable
            case number
            case string
        }

        var state = State.missing
        /// As the file has it, of a number or a string.
        var text: [UInt8] = []

        mutating func clear() {
            state = .missing
            text.removeAll(keepingCapacity: true)
        }

        /// Nil where there is none.
        var id: RecordedID? {
            switch state {
            case .missing, .unreadable: nil
            case .number: RecordedID(text, isNumber: true)
            case .string: RecordedID(text, isNumber: false)
            }
        }
    }

    package init(_ source: any ByteSource) {
        self.source = source
        json = JSONPullReader(source)
    }

    /// Reads everything. Throws `JSONReadFailure` where the file isn't JSON (an early end is no error),
    /// `TraceError` where it isn't a trace or has more than `Limits` allow.
    package mutating func read() throws -> Recording {
        try checkEncoding()
        let kind = try outermostKind()
        do {
            if kind == .array {
                try readEvents()
            } else if try !readTopLevel() {
                throw Self.notATrace
            }
            try readOn()
        } catch JSONReadFailure.endOfInput { recording.isUnterminated = true }
        if source.isCutOff { recording.isUnterminated = true }
        recording.strayBytes += source.strayBytes
        try CallPairing.pair(&boundaries, into: &recording)
        boundaries = []
        recording.finish()
        return recording
    }

    // MARK: Documents

    /// JSON of recordings is UTF-8. In any other encoding of Unicode one of the first bytes is zero, or there is a mark.
    private func checkEncoding() throws {
        let first = try json.peek(4) + [1, 1, 1, 1]
        let name: String
        switch (first[0], first[1], first[2], first[3]) {
        case (0xFF, 0xFE, 0, 0), (1..., 0, 0, 0): name = "UTF-32LE"
        case (0, 0, 0xFE, 0xFF), (0, 0, 0, 1...): name = "UTF-32BE"
        case (0xFF, 0xFE, _, _), (1..., 0, _, _): name = "UTF-16LE"
        case (0xFE, 0xFF, _, _), (0, 1..., _, _): name = "UTF-16BE"
        default: return
        }
        throw TraceError(
            .invalidArgument,
            "is \(name), where only UTF-8 is read",
            remedy: "Convert it: iconv -f \(name) -t UTF-8"
        )
    }

    private func outermostKind() throws -> JSONPullReader.Kind {
        do {
            let kind = try json.kind()
            if kind == .array || kind == .object { return kind }
        } catch is JSONReadFailure {
            // Empty, or text of another kind.
        }
        throw Self.notATrace
    }

    /// What follows the document: more of the kind is read, and of anything else the bytes are counted.
    private mutating func readOn() throws {
        while try json.hasMore() {
            let start = json.offset
            do {
                switch try nextKind() {
                case .array:
                    try readEvents()
                    continue
                case .object:
                    if try !readTopLevel() { recording.strayBytes += json.offset - start }
                    continue
                default: break
                }
            } catch JSONReadFailure.syntax {
                // Damaged from here on.
            }
            try json.drain()
            recording.strayBytes += json.offset - start
        }
    }

    /// Nil where it is none of JSON's.
    private func nextKind() throws -> JSONPullReader.Kind? {
        do { return try json.kind() } catch is JSONReadFailure { return nil }
    }

    /// False where the object has no events.
    private mutating func readTopLevel() throws -> Bool {
        var hasEvents = false
        try json.enterObject()
        while try json.nextKey() {
            if json.textEquals("traceEvents"), try json.kind() == .array {
                hasEvents = true
                try readEvents()
            } else if json.textEquals("viztracer_metadata") || json.textEquals("otherData"),
                try json.kind() == .object
            {
                try json.enterObject()
                while try json.nextKey() { if try !readBase() { try json.skipValue() } }
            } else if try !readBase() {
                try json.skipValue()
            }
        }
        return hasEvents
    }

    /// Takes what the recording's zero is, where the key that was read says it; false where it does not. Of several the most
    /// precise is taken.
    private mutating func readBase() throws -> Bool {
        let (field, unit, precision): (String, Int64, Int64)
        if json.textEquals("baseTimeNanoseconds") {
            (field, unit, precision) = ("baseTimeNanoseconds", 1, 1)
        } else if json.textEquals("beginningOfTime") {
            (field, unit, precision) = ("beginningOfTime", 1_000, 1_000)
        } else if json.textEquals("profile_start_ts") {
            // Milliseconds: Bazel from 8 on writes `Instant.toEpochMilli()` of when the profile's writer starts, from 9.3
            // on that of the events' zero (JsonTraceFileWriter.java in lib/profiler; bazelbuild/bazel#30949).
            (field, unit, precision) = ("profile_start_ts", 1_000_000, 1_000_000)
        } else if json.textEquals("profile_finish_ts") {
            // The same under another name: before it was corrected (bazelbuild/bazel#22505) Bazel wrote the begin there,
            // `getEpochSecond() * 1000`, so milliseconds of whole seconds.
            (field, unit, precision) = ("profile_finish_ts", 1_000_000, 1_000_000_000)
        } else {
            return false
        }
        guard try json.readText() else { return true }
        guard let count = TraceClock.wholePart(of: json.text), precision <= basePrecision else {
            return true
        }
        let (time, isBeyond) = count.multipliedReportingOverflow(by: unit)
        guard !isBeyond, time > 0 else { return true }
        recording.base = (time, field)
        basePrecision = precision
        return true
    }

    /// Nanoseconds that the base taken may be off by.
    private var basePrecision = Int64.max

    // MARK: Events

    private mutating func readEvents() throws {
        try json.enterArray()
        while try json.nextElement() {
            guard try json.kind() == .object else {
                try json.skipValue()
                try count()
                recording.skip(.notAnObject)
                continue
            }
            try readEvent()
            try count()
            try takeEvent()
            if recording.eventsRead % 4096 == 0 {
                try onProgress?(source.progress.done, source.progress.total)
            }
        }
    }

    /// One more event that is whole.
    private mutating func count() throws {
        guard recording.eventsRead < Int(UInt32.max) else { throw Recording.tooLarge("events") }
        recording.eventsRead += 1
    }

    private mutating func readEvent() throws {
        fields.clear()
        try json.enterObject()
        while try json.nextKey() {
            if json.textEquals("ph") {
                if try json.readText() { fields.phase = json.text.first ?? 0 }
            } else if json.textEquals("name") {
                fields.name.removeAll(keepingCapacity: true)
                fields.hasName = try json.readText()
                if fields.hasName { fields.name.append(contentsOf: json.text) }
            } else if json.textEquals("ts") {
                fields.time = try microseconds()
            } else if json.textEquals("dur") {
                fields.duration = try microseconds()
            } else if json.textEquals("pid") {
                try readID(\.pid)
            } else if json.textEquals("tid") {
                try readID(\.tid)
            } else if json.textEquals("args"), try json.kind() == .object {
                try readArguments()
            } else {
                try json.skipValue()
            }
        }
    }

    private mutating func readArguments() throws {
        try json.enterObject()
        while try json.nextKey() {
            if json.textEquals("name") {
                fields.hasNamed = try json.readText()
                guard fields.hasNamed else { continue }
                fields.named.removeAll(keepingCapacity: true)
                fields.named.append(contentsOf: json.text)
            } else if json.textEquals("sort_index") {
                if try json.readText() {
                    fields.sortIndex = Int64(String(decoding: json.text, as: UTF8.self))
                }
            } else {
                try json.skipValue()
            }
        }
    }

    private func microseconds() throws -> Field {
        guard try json.readText(), let value = TraceClock.nanoseconds(microseconds: json.text)
        else {
            return .unreadable
        }
        return .value(value)
    }

    private mutating func readID(_ field: WritableKeyPath<EventFields, IDField>) throws {
        let kind = try json.kind()
        let isText = try json.readText()
        fields[keyPath: field].state =
            isText ? (kind == .string ? .string : .number) : kind == .null ? .missing : .unreadable
        guard isText else { return }
        fields[keyPath: field].text.removeAll(keepingCapacity: true)
        fields[keyPath: field].text.append(contentsOf: json.text)
    }

    private mutating func takeEvent() throws {
        switch fields.phase {
        case UInt8(ascii: "X"), UInt8(ascii: "B"), UInt8(ascii: "E"): try takeCall()
        case 0: recording.skip(.noPhase)
        default:
            if try fields.phase == UInt8(ascii: "M") && takeName() { return }
            let phase = String(decoding: [fields.phase], as: UTF8.self)
            recording.skippedByPhase[phase, default: 0] += 1
        }
    }

    private mutating func takeCall() throws {
        guard case .value(let time) = fields.time else { return recording.skip(.noTime) }
        guard let thread = try thread() else { return recording.skip(.noID) }
        switch fields.phase {
        case UInt8(ascii: "X"):
            guard fields.hasName else { return recording.skip(.noName) }
            guard let end = end(from: time) else { return recording.skip(.badDuration) }
            try recording.add(
                RecordedCall(
                    start: time,
                    end: end,
                    name: try recording.index(ofName: cutName()),
                    thread: thread,
                    order: UInt32(recording.eventsRead),
                    isUnfinished: end == RecordedCall.open
                )
            )
        case UInt8(ascii: "B"):
            guard fields.hasName else { return recording.skip(.noName) }
            try add(try recording.index(ofName: cutName()), time, thread, isBegin: true)
        default:
            let hasName = fields.hasName && !fields.name.isEmpty
            let name = hasName ? try recording.index(ofName: cutName()) : CallBoundary.noName
            try add(name, time, thread, isBegin: false)
        }
    }

    private mutating func add(_ name: UInt32, _ time: Int64, _ thread: UInt32, isBegin: Bool) throws
    {
        guard recording.calls.count + boundaries.count / 2 < Limits.importCallsMax else {
            throw Recording.tooLarge("calls")
        }
        boundaries.append(
            CallBoundary(
                time: time,
                name: name,
                thread: thread,
                order: UInt32(recording.eventsRead),
                isBegin: isBegin
            )
        )
    }

    /// Of a complete event: without a duration it has none. Nil where there is one that can't be read, is negative, or ends
    /// beyond any time.
    private func end(from time: Int64) -> Int64? {
        switch fields.duration {
        case .missing: return time
        case .unreadable: return nil
        case .value(let duration):
            let (end, isBeyond) = time.addingReportingOverflow(duration)
            return duration < 0 || isBeyond ? nil : end
        }
    }

    /// The event's thread: an id that is missing is the other one. Nil where both are, or one is there and unreadable.
    private mutating func thread() throws -> UInt32? {
        if let lastThread, lastThread.pid == fields.pid, lastThread.tid == fields.tid {
            return lastThread.index
        }
        guard let ids = ids() else { return nil }
        let index = try recording.index(ofThread: ids.thread, ofProcess: ids.process)
        lastThread = (fields.pid, fields.tid, index)
        return index
    }

    private func ids() -> (process: RecordedID, thread: RecordedID)? {
        guard fields.pid.state != .unreadable, fields.tid.state != .unreadable else { return nil }
        let (pid, tid) = (fields.pid.id, fields.tid.id)
        guard let process = pid ?? tid, let thread = tid ?? pid else { return nil }
        return (process, thread)
    }

    /// False where the metadata event is none that is sent on.
    private mutating func takeName() throws -> Bool {
        guard fields.hasName, let ids = ids() else { return false }
        switch String(decoding: fields.name, as: UTF8.self) {
        case "process_name" where fields.hasNamed:
            try recording.name(process: ids.process, Self.cut(fields.named))
        case "thread_name" where fields.hasNamed:
            try recording.name(thread: ids.thread, ofProcess: ids.process, Self.cut(fields.named))
        case "process_sort_index":
            guard let index = fields.sortIndex else { return false }
            try recording.place(process: ids.process, Int32(clamping: index))
        default: return false
        }
        return true
    }

    private func cutName() -> String { Self.cut(fields.name) }

    private static func cut(_ name: [UInt8]) -> String {
        unsafe name.withUnsafeBytes { unsafe ByteView($0).cut(at: Limits.nameBytesMax).string }
    }

    private static var notATrace: TraceError {
        TraceError(
            .invalidArgument,
            "not a Chrome trace",
            remedy: "Expected an array of events, or an object with `traceEvents`"
        )
    }
}
