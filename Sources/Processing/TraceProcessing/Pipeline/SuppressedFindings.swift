import AnomalyRules
import SystemIO
import TraceModel

/// The findings of one process that cool-downs suppress, grouped by rule and key: their count, and the worst of them.
/// Each group is raised as one record when its cool-down ends.
///
/// Bounded: beyond `Limits.suppressedKeysPerProcessMax` groups, further keys of a rule are counted together.
struct SuppressedFindings {
    /// The suppressed findings of one rule and key.
    struct Group {
        /// What the rule distinguishes within the process; nil for keys that are counted together.
        fileprivate(set) var key: UInt64?
        /// The begin and end of the cool-down; for several cool-downs, the first begin.
        let since: EpochNanoseconds
        fileprivate(set) var until: EpochNanoseconds
        fileprivate(set) var count: UInt64 = 1
        fileprivate(set) var worst: EventContext.Finding
        /// The message of the worst finding, in UTF-8.
        fileprivate(set) var message: [UInt8]
    }

    private var groups: [Group] = []

    init() {}

    var isEmpty: Bool { groups.isEmpty }

    /// Counts a finding. `message` is called only if the finding is the worst so far. O(groups), which are few.
    mutating func add(
        _ finding: EventContext.Finding,
        key: UInt64,
        since: EpochNanoseconds,
        until: EpochNanoseconds,
        message: () -> String
    ) {
        guard let place = place(of: finding.rule, key) else {
            groups.append(
                Group(
                    key: groups.count < Limits.suppressedKeysPerProcessMax ? key : nil,
                    since: since,
                    until: until,
                    worst: finding,
                    message: Self.kept(message())
                )
            )
            return
        }
        groups[place].count += 1
        // Other rules may have come into force since the last finding.
        if groups[place].key != nil { groups[place].until = until }
        guard finding.isWorse(than: groups[place].worst) else { return }
        groups[place].worst = finding
        groups[place].message = Self.kept(message())
    }

    private func place(of rule: RuleID, _ key: UInt64) -> Int? {
        if let own = own(rule, key) { return own }
        guard groups.count >= Limits.suppressedKeysPerProcessMax else { return nil }
        return groups.firstIndex { $0.key == nil && $0.worst.rule == rule }
    }

    private func own(_ rule: RuleID, _ key: UInt64) -> Int? {
        groups.firstIndex { $0.key == key && $0.worst.rule == rule }
    }

    private static func kept(_ message: String) -> [UInt8] {
        var message = message
        return message.withUTF8 {
            let bytes = ByteView(UnsafeRawBufferPointer($0))
            return Array(bytes.cut(at: Limits.suppressedMessageBytesMax).buffer)
        }
    }

    /// Replaces keys when a rule's subjects get other keys; nil for a subject that is no longer distinguished.
    mutating func moveKeys(_ next: (UInt64) -> UInt64?) {
        for place in groups.indices { groups[place].key = groups[place].key.flatMap(next) }
    }

    /// An upper bound, as messages are cut.
    @inline(__always) var stateBytes: Int { groups.count &* Self.groupBytes }

    private static var groupBytes: Int {
        MemoryLayout<Group>.stride + Limits.suppressedMessageBytesMax + 2 * StateCost.allocation
    }

    // MARK: Ends of cool-downs

    /// Removes and returns the group of one key; nil if there is none.
    mutating func take(_ rule: RuleID, key: UInt64) -> Group? {
        own(rule, key).map { groups.remove(at: $0) }
    }

    /// Removes and returns the groups whose cool-down is over at `time`, in the order in which they were added.
    mutating func takeEnded(at time: EpochNanoseconds) -> [Group] {
        guard groups.contains(where: { $0.until <= time }) else { return [] }
        let ended = groups.filter { $0.until <= time }
        groups.removeAll { $0.until <= time }
        return ended
    }

    mutating func takeAll() -> [Group] {
        defer { groups.removeAll() }
        return groups
    }

    // MARK: State

    func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: UInt8(groups.count))
        for group in groups {
            buffer.append(byte: group.worst.rule.rawValue)
            buffer.append(byte: group.key == nil ? 0 : 1)
            buffer.append(integer: group.key ?? 0)
            buffer.append(integer: group.since)
            buffer.append(integer: group.until)
            buffer.append(varint: group.count)
            buffer.append(integer: group.worst.value.bitPattern)
            buffer.append(integer: group.worst.baseline.bitPattern)
            buffer.append(integer: group.worst.score.bitPattern)
            buffer.append(integer: group.worst.severity.bitPattern)
            buffer.append(counted: group.message)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt8.self)) {
            guard let rule = RuleID(rawValue: try reader.integer(UInt8.self)) else {
                throw TraceError(.corrupt, "Stored state has findings of an unknown rule")
            }
            let hasKey = try reader.integer(UInt8.self) == 1
            let key = try reader.integer(UInt64.self)
            var group = Group(
                key: hasKey ? key : nil,
                since: try reader.integer(Int64.self),
                until: try reader.integer(Int64.self),
                count: try reader.varint(),
                worst: EventContext.Finding(rule: rule, severity: 0),
                message: []
            )
            group.worst.value = Double(bitPattern: try reader.integer(UInt64.self))
            group.worst.baseline = Double(bitPattern: try reader.integer(UInt64.self))
            group.worst.score = Double(bitPattern: try reader.integer(UInt64.self))
            group.worst.severity = Double(bitPattern: try reader.integer(UInt64.self))
            group.message = Array(try reader.counted())
            groups.append(group)
        }
    }
}

extension SuppressedFindings.Group {
    /// The message of the group's record, in UTF-8.
    var summary: [UInt8] {
        guard key != nil else { return Array("\(count) more, the worst: ".utf8) + message }
        let (nanoseconds, overflow) = until.subtractingReportingOverflow(since)
        let seconds = Double(overflow ? .max : nanoseconds) / 1e9
        let whole = seconds.rounded()
        let text = seconds == whole && whole < 1e15 ? "\(Int64(whole))" : "\(seconds)"
        return Array("\(count) more in \(text) s, the worst: ".utf8) + message
    }
}
