import SystemIO
import TraceModel

/// Finds the call paths of windows that a span covers only in part, in their events. Counts as the workers do (`CallTree`): a call where it begins, and time at the innermost call of its
/// thread.
///
/// Memory is bounded by the open calls, the threads and the names.
struct EventPaths {
    /// A window that the span covers in part.
    struct Window {
        let stem: String
        let span: ClosedRange<EpochNanoseconds>
        /// Its traces with their hosts as JSON text, of all hosts.
        var traces: [(path: String, host: [UInt8])] = []
        /// The processes in its profile by host and id. A process has the name that it had first.
        var processes: [Process: [UInt8]] = [:]
        /// Those whose agents send only some of their calls, so that their events say nothing about paths.
        var sampled: Set<Process> = []
    }

    /// A process, its host by the hash of its name as JSON text.
    struct Process: Hashable {
        let host: UInt64
        let pid: UInt32
    }

    /// A thread of a process.
    private struct Thread: Hashable {
        let process: Process
        let tid: UInt32
    }

    /// A call that is open.
    private struct Call {
        let cookie: Int64
        let began: EpochNanoseconds
        let name: Int
        let node: Int
    }

    /// The open calls of a thread, the innermost last.
    private struct Stack {
        var calls: [Call] = []
        /// The time up to which all time is counted.
        var countedTo: EpochNanoseconds
    }

    private let windows: [Window]
    private let selection: ProfileSelection
    private let paths: [String]
    private let budget: ReadingBudget
    private var hosts: [UInt64: [UInt8]] = [:]
    private var stacks: [Thread: Stack] = [:]
    private var nodes: [Process: Int] = [:]
    private var names: [UInt64: (text: [UInt8], name: Int)] = [:]

    /// Selects the traces of windows that follow one another.
    init(_ windows: [Window], _ selection: ProfileSelection, budget: ReadingBudget) {
        self.budget = budget
        self.windows = windows
        self.selection = selection
        let wanted = selection.host.map { Self.text(ofHost: Array($0.utf8)) }
        var paths: [String] = []
        for trace in windows.flatMap(\.traces) where wanted.map({ $0 == trace.host }) ?? true {
            hosts[Self.hash(trace.host)] = JSONText.bytes(of: trace.host)
            paths.append(trace.path)
        }
        // Names begin with the window's time, so they sort by window.
        self.paths = paths.sorted()
    }

    /// The size of the traces before compression, of compressed ones estimated.
    var bytes: Int {
        paths.reduce(0) { sum, path in
            let isCompressed = !path.hasSuffix(".json")
            return sum + (FileSystem.size(path) ?? 0) * (isCompressed ? Self.compressionRatio : 1)
        }
    }

    private static let compressionRatio = 16
    /// The memory of an open call, of a thread, of a process of a window, and of a name without its text, in bytes.
    private static let callBytes = 64
    private static let threadBytes = 192
    fileprivate static let processBytes = 128
    private static let nameBytes = 128

    /// Returns the hash by which a host is known here.
    static func hash(ofHost name: [UInt8]) -> UInt64 { hash(text(ofHost: name)) }

    private static func hash(_ text: [UInt8]) -> UInt64 {
        unsafe text.withUnsafeBytes { unsafe Slot.hash(host: $0) }
    }

    private static func text(ofHost name: [UInt8]) -> [UInt8] {
        var text = RawBuffer()
        unsafe name.withUnsafeBytes { _ = unsafe text.appendJSONString(ByteView($0)) }
        return unsafe Array(text.bytes)
    }

    // MARK: Windows

    /// The windows whose events are read instead of their profiles.
    struct Parts {
        /// By the paths of their profiles.
        var windows: [String: ClosedRange<EpochNanoseconds>] = [:]
        /// Windows that follow one another are read together, so that a call in several of them is one.
        var groups: [EventPaths] = []
    }

    /// Returns the windows that the selection's span covers only in part; none where their events are too many. Blocks on
    /// the disk.
    static func parts(
        of selection: ProfileSelection,
        root: String,
        eventBytesMax: Int,
        budget: ReadingBudget,
        checkCancelled: () throws -> Void
    ) throws -> Parts {
        guard selection.from != nil || selection.to != nil else { return Parts() }
        var parts = Parts()
        /// Each group by the number of windows before it that are covered as a whole.
        var windows: [Int: [Window]] = [:]
        var whole: [ClosedRange<EpochNanoseconds>] = []
        var partial: [Window] = []
        try CallPaths.forEachProfile(selection, root: root, budget: budget) { reader in
            try checkCancelled()
            guard let span = reader.span else { return }
            guard selection.part(of: span) != span else { return whole.append(span) }
            var window = try Window(reader, span, budget)
            try window.findTraces(root: root)
            // Without traces there is only the profile.
            if window.traces.isEmpty { return whole.append(span) }
            partial.append(window)
            parts.windows[reader.path] = span
        }
        for window in partial {
            let before = whole.count { $0.lowerBound < window.span.lowerBound }
            windows[before, default: []].append(window)
        }
        parts.groups = windows.sorted { $0.key < $1.key }.map {
            EventPaths($0.value, selection, budget: budget)
        }
        let bytes = parts.groups.reduce(0) { $0 + $1.bytes }
        return bytes > eventBytesMax ? Parts() : parts
    }

    // MARK: Events

    /// Adds the paths between the bounds of the selection. May be called only once. Blocks.
    /// - Parameter ended: Called for each call that ends in the span, with the number of its name and its duration.
    /// - Throws: `TraceError` if a file is damaged, or too many calls are open; whatever `checkCancelled` throws.
    mutating func add(
        to tree: inout CallPaths,
        ended: ((_ name: Int, _ nanoseconds: UInt64) -> Void)?,
        checkCancelled: @escaping () throws -> Void
    ) throws {
        let first = windows.map(\.span.lowerBound).min() ?? .min
        let last = windows.map(\.span.upperBound).max() ?? .max
        // A bound outside of the windows cuts no call.
        let from = selection.from.flatMap { $0 > first ? $0 : nil }
        let to = selection.to.flatMap { $0 < last ? $0 : nil }
        var count = 0
        let merge = try FinalFileMerge(
            paths,
            .json,
            RowSelection(from: from, to: to, pid: selection.pid, host: nil),
            clipsCalls: true,
            readsNames: false,
            filesMax: Limits.catFilesMax,
            budget: budget,
            onRow: {
                count += 1
                if count % 1_024 == 0 { try checkCancelled() }
            }
        )
        try unsafe merge.begin { _ in }
        let begin = from ?? first
        try unsafe merge.calls.forEachOpen { call, thread in
            let name = try unsafe self.name(call.name, in: &tree)
            try unsafe self.begin(
                name: name,
                cookie: call.cookie,
                began: call.ts,
                Thread(process: Process(host: thread.host, pid: thread.pid), tid: thread.tid),
                countedTo: begin,
                in: &tree
            )
        }
        while let row = try merge.next() {
            guard let event = unsafe EventRow(row.bytes), let call = event.call, let tid = event.tid
            else { continue }
            let thread = Thread(process: Process(host: row.host, pid: row.pid), tid: tid)
            let name = try unsafe name(call.name, in: &tree)
            switch call.phase {
            case .begin:
                let node = try self.begin(
                    name: name,
                    cookie: call.cookie,
                    began: row.ts,
                    thread,
                    countedTo: max(row.ts, begin),
                    in: &tree
                )
                if let node, !call.isContinued { tree.count(calls: 1, nanoseconds: 0, at: node) }
            case .end:
                guard let began = end(call, name, at: row.ts, thread, in: &tree) else { break }
                ended?(name, UInt64(max(row.ts - began, 0)))
            }
        }
        guard let to else { return }
        for thread in stacks.keys { countTime(of: thread, to: to, in: &tree) }
    }

    /// Opens a call, and returns its node; nil for a process whose paths are not known.
    @discardableResult private mutating func begin(
        name: Int,
        cookie: Int64,
        began: EpochNanoseconds,
        _ thread: Thread,
        countedTo: EpochNanoseconds,
        in tree: inout CallPaths
    ) throws -> Int? {
        guard !windows.contains(where: { $0.sampled.contains(thread.process) }) else { return nil }
        countTime(of: thread, to: countedTo, in: &tree)
        let around = stacks[thread]?.calls.last?.node ?? node(of: thread.process, in: &tree)
        let node = tree.child(name, of: around)
        try budget.take(Self.callBytes + (stacks[thread] == nil ? Self.threadBytes : 0))
        stacks[thread, default: Stack(countedTo: countedTo)].calls.append(
            Call(cookie: cookie, began: began, name: name, node: node)
        )
        return node
    }

    /// Closes a call, and returns when it began; nil if it is not open.
    private mutating func end(
        _ call: EventRow.Call,
        _ name: Int,
        at ts: EpochNanoseconds,
        _ thread: Thread,
        in tree: inout CallPaths
    ) -> EpochNanoseconds? {
        guard
            let position = stacks[thread]?.calls.lastIndex(where: {
                $0.cookie == call.cookie && $0.name == name && (call.began ?? $0.began) == $0.began
            })
        else { return nil }
        countTime(of: thread, to: ts, in: &tree)
        budget.give(Self.callBytes)
        return stacks[thread]?.calls.remove(at: position).began
    }

    /// Counts the time since the thread's last event at its innermost call.
    private mutating func countTime(
        of thread: Thread,
        to ts: EpochNanoseconds,
        in tree: inout CallPaths
    ) {
        guard let stack = stacks[thread], ts > stack.countedTo else { return }
        if let call = stack.calls.last {
            tree.count(calls: 0, nanoseconds: UInt64(ts - stack.countedTo), at: call.node)
        }
        stacks[thread]?.countedTo = ts
    }

    // MARK: Names

    private mutating func node(of process: Process, in tree: inout CallPaths) -> Int {
        if let node = nodes[process] { return node }
        let host = tree.child(tree.name(hosts[process.host] ?? []), of: nil)
        let known = windows.lazy.compactMap { $0.processes[process] }.first
        let node = tree.child(tree.name(known ?? Array("pid-\(process.pid)".utf8)), of: host)
        nodes[process] = node
        return node
    }

    /// Returns the number of a name that is given as JSON text.
    private mutating func name(
        _ text: UnsafeRawBufferPointer,
        in tree: inout CallPaths
    ) throws -> Int {
        let hash = unsafe Slot.hash(host: text)
        if let known = names[hash], unsafe text.elementsEqual(known.text) { return known.name }
        let text = unsafe Array(text)
        let name = tree.name(JSONText.bytes(of: text))
        if names[hash] == nil { try budget.take(text.count + Self.nameBytes) }
        // Names that collide replace one another.
        names[hash] = (text, name)
        return name
    }
}

/// Decodes strings of the JSON that this program writes.
enum JSONText {
    /// Returns the bytes of a string, which has its quotes. What is no valid escape stands for itself.
    static func bytes(of text: [UInt8]) -> [UInt8] {
        let text = text.dropFirst().dropLast()
        guard text.contains(UInt8(ascii: "\\")) else { return Array(text) }
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let escape = rest.popFirst() else {
                bytes.append(byte)
                continue
            }
            switch escape {
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"):
                let digits = String(decoding: rest.prefix(4), as: UTF8.self)
                guard let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value)
                else {
                    bytes += [byte, escape]
                    continue
                }
                rest = rest.dropFirst(4)
                bytes += Array(String(Character(scalar)).utf8)
            default: bytes.append(escape)
            }
        }
        return bytes
    }
}

extension EventPaths.Window {
    /// Finds the window's traces. Blocks on the disk.
    fileprivate mutating func findTraces(root: String) throws {
        let prefix = "\(Resource.function.name)_trace_\(stem)"
        for path in try FinalFile.paths(of: .json, .function, root: root) {
            guard path.split(separator: "/").last?.hasPrefix(prefix) == true,
                let file = try FinalFile(path, .json, rank: 0),
                stem.utf8.elementsEqual(file.stem)
            else { continue }
            traces.append((path, file.host))
        }
    }

    /// Reads the processes of a profile.
    fileprivate init(
        _ reader: ProfileReader,
        _ span: ClosedRange<EpochNanoseconds>,
        _ budget: ReadingBudget
    ) throws {
        self.init(stem: reader.stem, span: span)
        var hashes: [Int: UInt64] = [:]
        while try reader.next() {
            let sample = reader.sample
            let hash = hashes[sample.host] ?? EventPaths.hash(ofHost: reader.strings[sample.host])
            hashes[sample.host] = hash
            let process = EventPaths.Process(host: hash, pid: sample.pid)
            if reader.isOfSampled {
                sampled.insert(process)
            } else if processes[process] == nil {
                let name = reader.strings[sample.process]
                try budget.take(name.count + EventPaths.processBytes)
                processes[process] = name
            }
        }
    }
}

extension ProfileSelection {
    /// Returns the part of a window's time that is selected.
    func part(of span: ClosedRange<EpochNanoseconds>) -> ClosedRange<EpochNanoseconds> {
        let first = max(span.lowerBound, from ?? .min)
        return first...max(first, min(span.upperBound, to ?? .max))
    }
}
