import SystemIO
import TraceModel

/// The processes and threads of a trace of all resources: under which process id each is shown, and by which name.
///
/// Viewers know processes by their ids alone. Of processes of several hosts with one id, the first keeps it, and the
/// others get ids that no Linux process has. The names come from all resources; each is written once, before the first
/// event of its process or thread.
struct CombinedProcesses {
    /// A process as the files know it.
    private struct ProcessKey: Hashable {
        let host: UInt64
        let pid: UInt32
    }

    /// What a name belongs to, on which host.
    private struct NameKey: Hashable {
        let host: UInt64
        let key: NameTable.Key
    }

    /// Names of hosts as JSON strings with their quotes.
    private var hosts: [UInt64: [UInt8]] = [:]
    private var shown: [ProcessKey: UInt32] = [:]
    private var taken: Set<UInt32> = []
    private var next = Self.firstFree
    private var names: [NameKey: Range<Int>] = [:]
    /// The values of all names.
    private var text: [UInt8] = []
    private let budget: ReadingBudget
    private let namesBytesMax: Int
    private let processesMax: Int
    /// Names that did not fit into `namesBytesMax`.
    private(set) var namesLeftOut: UInt64 = 0
    /// Threads whose names are written, by shown process id and thread.
    private var named: Set<UInt64> = []
    /// The process and thread of the last event.
    private var last: (process: ProcessKey, tid: UInt32?, shown: UInt32)?

    /// Linux has no process ids from 2^22 on.
    private static let firstFree: UInt32 = 1 << 22
    /// The memory of a name without its text, in bytes.
    private static let nameBytes = 96
    /// The memory of a process with its rates (`RateTracks`), and of a thread that is named, in bytes.
    private static let processBytes = 320
    private static let threadBytes = 24

    init(
        namesBytesMax: Int = Limits.traceNamesBytesMax,
        processesMax: Int = Limits.traceProcessesMax,
        budget: ReadingBudget = ReadingBudget()
    ) {
        self.budget = budget
        self.namesBytesMax = namesBytesMax
        self.processesMax = processesMax
    }

    /// The number of processes that were shown.
    var processCount: Int { shown.count }

    var hostCount: Int { hosts.count }

    // MARK: Names

    /// Adds a host whose events may be shown. `name`: a JSON string with its quotes.
    mutating func add(host: UInt64, name: [UInt8]) { hosts[host] = name }

    func isKnown(host: UInt64) -> Bool { hosts[host] != nil }

    /// Adds a name; one that was added before under the same key is replaced. A name that is only a number in other
    /// words, as resources without names write it, replaces none.
    mutating func add(_ name: TraceName, host: UInt64) {
        guard unsafe !Self.isPlaceholder(name.key, name.value) else { return }
        let key = NameKey(host: host, key: name.key)
        if let range = names[key], unsafe text[range].elementsEqual(name.value) { return }
        let bytes = unsafe text.count + name.value.count + Self.nameBytes * (names.count + 1)
        let added = unsafe name.value.count + (names[key] == nil ? Self.nameBytes : 0)
        guard bytes <= namesBytesMax, budget.takes(added) else {
            namesLeftOut += 1
            return
        }
        let start = text.count
        unsafe text.append(contentsOf: name.value)
        names[key] = start..<text.count
    }

    private static func isPlaceholder(
        _ key: NameTable.Key,
        _ value: UnsafeRawBufferPointer
    ) -> Bool {
        switch key.kind {
        case .process: unsafe value.elementsEqual("\"pid-\(key.pid)\"".utf8)
        case .thread: unsafe value.elementsEqual("\"tid-\(key.tid)\"".utf8)
        case .sortIndex: false
        }
    }

    private func name(_ host: UInt64, _ key: NameTable.Key) -> ArraySlice<UInt8>? {
        names[NameKey(host: host, key: key)].map { text[$0] }
    }

    // MARK: Events

    /// Returns the process id under which an event of that process and thread is shown. Appends the names that have to
    /// be written before it, each with a separator behind it.
    /// - Throws: `TraceError(.exhausted)` if there are too many processes.
    mutating func show(
        host: UInt64,
        pid: UInt32,
        tid: UInt32?,
        names lines: inout RawBuffer
    ) throws(TraceError) -> UInt32 {
        let process = ProcessKey(host: host, pid: pid)
        if let last, last.process == process, tid == nil || last.tid == tid { return last.shown }
        let shown: UInt32
        if let known = self.shown[process] {
            shown = known
        } else {
            shown = try add(process, &lines)
        }
        last = (process, tid, shown)
        guard let tid, named.insert(UInt64(shown) << 32 | UInt64(tid)).inserted else {
            return shown
        }
        // A name that is written again does no harm.
        if named.count > Limits.traceThreadsMax || !budget.takes(Self.threadBytes) {
            budget.give((named.count - 1) * Self.threadBytes)
            named.removeAll()
        }
        if let name = name(host, .thread(pid, tid)) {
            lines.append("{\"ph\":\"M\",\"pid\":")
            lines.appendDecimal(shown)
            lines.append(",\"tid\":")
            lines.appendDecimal(tid)
            lines.append(",\"name\":\"thread_name\",\"args\":{\"name\":")
            unsafe name.withUnsafeBytes { unsafe lines.append($0) }
            lines.append("}},\n")
        }
        return shown
    }

    private mutating func add(
        _ process: ProcessKey,
        _ lines: inout RawBuffer
    ) throws(TraceError) -> UInt32 {
        guard shown.count < processesMax else {
            throw TraceError(
                .exhausted,
                "The trace has more than \(processesMax) processes",
                remedy: "Narrow the time with --from and --to, or name a host with --host"
            )
        }
        try budget.take(Self.processBytes)
        let pid = taken.insert(process.pid).inserted ? process.pid : takeFree()
        shown[process] = pid
        lines.append("{\"ph\":\"M\",\"pid\":")
        lines.appendDecimal(pid)
        lines.append(",\"name\":\"process_name\",\"args\":{\"name\":\"")
        append(nameOf: process, to: &lines)
        lines.append("\"}},\n")
        if let index = name(process.host, .sortIndex(process.pid)) {
            lines.append("{\"ph\":\"M\",\"pid\":")
            lines.appendDecimal(pid)
            lines.append(",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":")
            unsafe index.withUnsafeBytes { unsafe lines.append($0) }
            lines.append("}},\n")
        }
        return pid
    }

    private mutating func takeFree() -> UInt32 {
        while !taken.insert(next).inserted { next &+= 1 }
        return next
    }

    /// Appends the name without quotes: `python`, or `python (pid 4000) on web-1` where there are several hosts.
    private func append(nameOf process: ProcessKey, to lines: inout RawBuffer) {
        if let name = name(process.host, .process(process.pid)) {
            unsafe name.dropFirst().dropLast().withUnsafeBytes { unsafe lines.append($0) }
            if hosts.count > 1 {
                lines.append(" (pid ")
                lines.appendDecimal(process.pid)
                lines.append(")")
            }
        } else {
            lines.append("pid-")
            lines.appendDecimal(process.pid)
        }
        guard hosts.count > 1, let host = hosts[process.host] else { return }
        lines.append(" on ")
        unsafe host.dropFirst().dropLast().withUnsafeBytes { unsafe lines.append($0) }
    }
}
