package import SystemIO
package import TraceModel

/// The decision whether a finding is raised or suppressed by the cool-down of an earlier finding of its key.
package enum FindingVerdict: BitwiseCopyable, Equatable, Sendable {
    /// The finding is raised, and its key's cool-down begins.
    case raised
    /// The finding lies within the cool-down that began at `since`. It is counted, and raised together with others when
    /// the cool-down ends.
    case suppressed(since: Int64)
}

/// The time of a key's last raised finding, so that findings of the key are not raised too often.
package struct Cooldown: BitwiseCopyable {
    private static let never = Int64.min

    private var lastRaised = never

    package init() {}

    /// Decides about a finding: within `cooldown` nanoseconds of event time, in either direction, one is raised.
    package mutating func fire(at time: Int64, cooldown: Int64) -> FindingVerdict {
        if lastRaised != Self.never {
            let (apart, overflow) = max(time, lastRaised).subtractingReportingOverflow(
                min(time, lastRaised)
            )
            guard overflow || apart >= cooldown else { return .suppressed(since: lastRaised) }
        }
        lastRaised = time
        return .raised
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) { encode(into: &buffer, flags: 0) }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        self = try Self.decode(&reader).cooldown
    }

    /// In checkpoints the time follows the flags of an `Alarm`.
    func encode(into buffer: inout RawBuffer, flags: UInt8) {
        buffer.append(byte: flags)
        buffer.append(integer: lastRaised)
    }

    static func decode(
        _ reader: inout StateReader
    ) throws(TraceError) -> (cooldown: Cooldown, flags: UInt8) {
        let flags = try reader.integer(UInt8.self)
        var cooldown = Cooldown()
        cooldown.lastRaised = try reader.integer(Int64.self)
        return (cooldown, flags)
    }
}

/// The state of a lasting condition for one key: whether it is raised, and when it last was.
package struct Alarm: BitwiseCopyable {
    private var isRaised = false
    /// The condition holds, but the cool-down has suppressed it.
    private var isSuppressed = false
    private var cooldown = Cooldown()

    package init() {}

    /// Decides about a single finding, as `Cooldown.fire` does.
    package mutating func fire(at time: Int64, cooldown: Int64) -> FindingVerdict {
        self.cooldown.fire(at: time, cooldown: cooldown)
    }

    /// Decides about a lasting condition, which begins with `isAbove` and ends with `isClear`. A condition that begins
    /// within the cool-down is suppressed once, and raised if it still holds afterwards. Returns nil where there is no
    /// finding.
    package mutating func observe(
        isAbove: Bool,
        isClear: Bool,
        at time: Int64,
        cooldown: Int64
    ) -> FindingVerdict? {
        if isRaised {
            if isClear { isRaised = false }
            return nil
        }
        guard isAbove else {
            if isClear { isSuppressed = false }
            return nil
        }
        let verdict = fire(at: time, cooldown: cooldown)
        let wasSuppressed = isSuppressed
        isRaised = verdict == .raised
        isSuppressed = !isRaised
        return isSuppressed && wasSuppressed ? nil : verdict
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        cooldown.encode(into: &buffer, flags: (isRaised ? 1 : 0) | (isSuppressed ? 2 : 0))
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        let flags: UInt8
        (cooldown, flags) = try Cooldown.decode(&reader)
        isRaised = flags & 1 != 0
        isSuppressed = flags & 2 != 0
    }
}
