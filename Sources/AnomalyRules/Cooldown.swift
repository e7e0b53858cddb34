package import SystemIO
package import TraceModel

/// When findings that stand for themselves were last told of one key, so that they are not told too often.
package struct Cooldown: BitwiseCopyable {
    private static let never = Int64.min

    private var told = never

    package init() {}

    /// Whether to tell a finding, which is not more often than once in `cooldown` nanoseconds of event time, forward or
    /// back.
    package mutating func fire(at time: Int64, cooldown: Int64) -> Bool {
        if told != Self.never {
            let (apart, overflow) = max(time, told).subtractingReportingOverflow(min(time, told))
            guard overflow || apart >= cooldown else { return false }
        }
        told = time
        return true
    }

    package func encode(into buffer: inout RawBuffer) { encode(into: &buffer, false) }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        self = try Self.decode(&reader).told
    }

    /// In checkpoints the time stands behind whether an `Alarm` is raised.
    func encode(into buffer: inout RawBuffer, _ isRaised: Bool) {
        buffer.append(byte: isRaised ? 1 : 0)
        buffer.append(integer: told)
    }

    static func decode(
        _ reader: inout StateReader
    ) throws(TraceError) -> (told: Cooldown, isRaised: Bool) {
        let isRaised = try reader.integer(UInt8.self) == 1
        var cooldown = Cooldown()
        cooldown.told = try reader.integer(Int64.self)
        return (cooldown, isRaised)
    }
}
