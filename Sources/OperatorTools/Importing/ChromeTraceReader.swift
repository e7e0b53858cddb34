import TraceModel

/// Reads a Chrome trace: an object with `traceEvents`, or a bare array, which may lack its end.
package struct ChromeTraceReader {
    private let json: JSONPullReader
    private let source: any ByteSource
    private var recording = Recording()
    private var edges: [OpenEdge] = []
    private var order: UInt32 = 0
    private var fields = EventFields()
    /// Told bytes done and bytes in all now and then.
    package var onProgress: ((_ done: Int, _ total: Int) -> Void)?

    /// The members of one event that matter; reused from event to event.
    private struct EventFields {
        var phase: UInt8 = 0
        var name: [UInt8] = []
        var hasName = false
        var time: Int64?
        var duration: Int64?
        var pid: UInt32?
        var tid: UInt32?
        /// Of `args`: what a metadata event says.
        var named: [UInt8] = []
        var hasNamed = false
        var sortIndex: Int64?

        mutating func clear() {
            phase = 0
            name.removeAll(keepingCapacity: true)
            hasName = false
            time = nil
            duration = nil
            pid = nil
            tid = nil
            hasNamed = false
            sortIndex = nil
        }
    }

    package init(_ source: any ByteSource) {
        self.source = source
        json = JSONPullReader(source)
    }

    /// Reads everything. Throws `JSONReadFailure` where the file isn't JSON (an early end is no error),
    /// `TraceError` where it isn't a trace or has more than `Limits` allow.
    package mutating func read() throws -> Recording {
        let kind = try outermostKind()
        do {
            if kind == .array { try readEvents() } else { try readTopLevel() }
        } catch JSONReadFailure.endOfInput {
            recording.isUnterminated = true
        }
        recording.unmatchedEnds = try OpenEdge.pair(&edges, into: &recording)
        edges = []
        return recording
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

    private mutating func readTopLevel() throws {
        var hasEvents = false
        try json.enterObject()
        while try json.nextKey() {
            if json.textEquals("traceEvents"), try json.kind() == .array {
                hasEvents = true
                try readEvents()
            } else if json.textEquals("viztracer_metadata"), try json.kind() == .object {
                try readMetadata()
            } else if json.textEquals("baseTimeNanoseconds") {
                try readBase()
            } else {
                try json.skipValue()
            }
        }
        if !hasEvents { throw Self.notATrace }
    }

    private mutating func readMetadata() throws {
        try json.enterObject()
        while try json.nextKey() {
            if json.textEquals("baseTimeNanoseconds") {
                try readBase()
            } else {
                try json.skipValue()
            }
        }
    }

    private mutating func readBase() throws {
        guard try json.readText() else { return }
        recording.base = Int64(String(decoding: json.text, as: UTF8.self))
    }

    private mutating func readEvents() throws {
        try json.enterArray()
        while try json.nextElement() {
            guard try json.kind() == .object else {
                recording.malformed += 1
                try json.skipValue()
                continue
            }
            try readEvent()
            try takeEvent()
            if order % 4096 == 0 { onProgress?(source.progress.done, source.progress.total) }
        }
    }

    private mutating func readEvent() throws {
        fields.clear()
        try json.enterObject()
        while try json.nextKey() {
            if json.textEquals("ph") {
                if try json.readText() { fields.phase = json.text.first ?? 0 }
            } else if json.textEquals("name") {
                fields.hasName = try json.readText()
                if fields.hasName { fields.name.append(contentsOf: json.text) }
            } else if json.textEquals("ts") {
                fields.time = try microseconds()
            } else if json.textEquals("dur") {
                fields.duration = try microseconds()
            } else if json.textEquals("pid") {
                fields.pid = try identifier()
            } else if json.textEquals("tid") {
                fields.tid = try identifier()
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

    private func microseconds() throws -> Int64? {
        try json.readText() ? TraceClock.nanoseconds(microseconds: json.text) : nil
    }

    private func identifier() throws -> UInt32? {
        try json.readText() ? UInt32(String(decoding: json.text, as: UTF8.self)) : nil
    }

    private mutating func takeEvent() throws {
        guard order < UInt32.max else { throw Recording.tooLarge("events") }
        order += 1
        switch fields.phase {
        case UInt8(ascii: "X"), UInt8(ascii: "B"), UInt8(ascii: "E"):
            try takeCall()
        case 0:
            recording.malformed += 1
        default:
            if try fields.phase == UInt8(ascii: "M") && takeName() { return }
            let phase = String(decoding: [fields.phase], as: UTF8.self)
            recording.skippedByPhase[phase, default: 0] += 1
        }
    }

    private mutating func takeCall() throws {
        let isEnd = fields.phase == UInt8(ascii: "E")
        guard let time = fields.time, let pid = fields.pid ?? fields.tid,
            fields.duration ?? 0 >= 0, fields.hasName || isEnd
        else {
            recording.malformed += 1
            return
        }
        let thread = try recording.index(of: RecordedThread(pid: pid, tid: fields.tid ?? pid))
        let name = isEnd ? 0 : try recording.index(ofName: cutName())
        if fields.phase == UInt8(ascii: "X") {
            let (end, overflow) = time.addingReportingOverflow(fields.duration ?? 0)
            guard !overflow else {
                recording.malformed += 1
                return
            }
            try recording.add(
                RecordedCall(start: time, end: end, name: name, thread: thread, order: order)
            )
        } else {
            guard recording.calls.count + edges.count / 2 < Limits.importCallsMax else {
                throw Recording.tooLarge("calls")
            }
            edges.append(
                OpenEdge(time: time, name: name, thread: thread, order: order, isBegin: !isEnd)
            )
        }
    }

    /// False where the metadata event is none that is sent on.
    private mutating func takeName() throws -> Bool {
        guard fields.hasName, let pid = fields.pid ?? fields.tid else { return false }
        switch String(decoding: fields.name, as: UTF8.self) {
        case "process_name" where fields.hasNamed:
            try recording.setName(ofProcess: pid, Self.cut(fields.named))
        case "thread_name" where fields.hasNamed:
            let thread = RecordedThread(pid: pid, tid: fields.tid ?? pid)
            try recording.setName(of: thread, Self.cut(fields.named))
        case "process_sort_index":
            guard let index = fields.sortIndex else { return false }
            try recording.setSortIndex(ofProcess: pid, Int32(clamping: index))
        default:
            return false
        }
        return true
    }

    private func cutName() -> String { Self.cut(fields.name) }

    private static func cut(_ name: [UInt8]) -> String {
        name.withUnsafeBytes { ByteView($0).cut(at: Limits.nameBytesMax).string }
    }

    private static var notATrace: TraceError {
        TraceError(
            .invalidArgument,
            "not a Chrome trace",
            remedy: "Expected an array of events, or an object with `traceEvents`"
        )
    }
}
