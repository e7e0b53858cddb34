package import SystemIO
package import TraceModel

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
