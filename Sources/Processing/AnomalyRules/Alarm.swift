package import SystemIO
package import TraceModel

/// Whether a finding is raised, or falls into the cool-down of an earlier one of its key.
package enum FindingVerdict: BitwiseCopyable, Equatable, Sendable {
    /// It is raised, and its key's cool-down begins.
    case raised
    /// It falls into the cool-down that began at `since`: it is counted, and raised with the others when that ends.
    case suppressed(since: Int64)
}

/// When a finding of one key was last raised, so that the findings after it are not raised too often.
package struct Cooldown: BitwiseCopyable {
    private static let never = Int64.min

    private var told = never

    package init() {}

    /// Decides about a finding: one is raised at most once in `cooldown` nanoseconds of event time, forward or back.
    package mutating func fire(at time: Int64, cooldown: Int64) -> FindingVerdict {
        if told != Self.never {
            let (apart, overflow) = max(time, told).subtractingReportingOverflow(min(time, told))
            guard overflow || apart >= cooldown else { return .suppressed(since: told) }
        }
        told = time
        return .raised
    }

    package func encode(into buffer: inout RawBuffer) { encode(into: &buffer, flags: 0) }

    package init(decoding reader: inout StateReader) throws(TraceError) { self = try Self.decode(&reader).told }

    /// In checkpoints the time stands behind the flags of an `Alarm`.
    func encode(into buffer: inout RawBuffer, flags: UInt8) {
        buffer.append(byte: flags)
        buffer.append(integer: told)
    }

    static func decode(_ reader: inout StateReader) throws(TraceError) -> (told: Cooldown, flags: UInt8) {
        let flags = try reader.integer(UInt8.self)
        var cooldown = Cooldown()
        cooldown.told = try reader.integer(Int64.self)
        return (cooldown, flags)
    }
}

/// Whether a rule has raised for one key, and when it last did.
package struct Alarm: BitwiseCopyable {
    private var isRaised = false
    /// Whether the condition holds and the cool-down has suppressed it.
    private var isSuppressed = false
    private var told = Cooldown()

    package init() {}

    /// As `Cooldown.fire`.
    package mutating func fire(at time: Int64, cooldown: Int64) -> FindingVerdict {
        told.fire(at: time, cooldown: cooldown)
    }

    /// Decides about a condition that lasts: it is found where it begins, and ends where `isClear`. One that begins within
    /// the cool-down is suppressed once, and raised where it still holds afterwards. Nil where nothing is found.
    package mutating func observe(isAbove: Bool, isClear: Bool, at time: Int64, cooldown: Int64) -> FindingVerdict? {
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

    package func encode(into buffer: inout RawBuffer) {
        told.encode(into: &buffer, flags: (isRaised ? 1 : 0) | (isSuppressed ? 2 : 0))
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        let flags: UInt8
        (told, flags) = try Cooldown.decode(&reader)
        isRaised = flags & 1 != 0
        isSuppressed = flags & 2 != 0
    }
}
