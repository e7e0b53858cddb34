package import SystemIO
package import TraceModel

/// Whether a rule has raised for one key, and when it last told so.
package struct Alarm: BitwiseCopyable {
    private static let never = Int64.min

    private var isRaised = false
    private var told = never

    package init() {}

    /// A finding that stands for itself: whether to tell it, which is not more often than once in
    /// `cooldown` nanoseconds of event time, forward or back.
    package mutating func fire(at time: Int64, cooldown: Int64) -> Bool {
        if told != Self.never {
            let (apart, overflow) = max(time, told).subtractingReportingOverflow(min(time, told))
            guard overflow || apart >= cooldown else { return false }
        }
        told = time
        return true
    }

    /// A condition that lasts: whether to tell that it has begun. It ends where `isClear`.
    package mutating func observe(
        isAbove: Bool,
        isClear: Bool,
        at time: Int64,
        cooldown: Int64
    ) -> Bool {
        if isRaised {
            if isClear { isRaised = false }
            return false
        }
        guard isAbove, fire(at: time, cooldown: cooldown) else { return false }
        isRaised = true
        return true
    }

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: isRaised ? 1 : 0)
        buffer.append(integer: told)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        isRaised = try reader.integer(UInt8.self) == 1
        told = try reader.integer(Int64.self)
    }
}
