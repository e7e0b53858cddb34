package import SystemIO
package import TraceModel

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

    package init(decoding reader: inout StateReader) throws(TraceError) {
        self = try Self.decode(&reader).told
    }

    /// In checkpoints the time stands behind the flags of an `Alarm`.
    func encode(into buffer: inout RawBuffer, flags: UInt8) {
        buffer.append(byte: flags)
        buffer.append(integer: told)
    }

    static func decode(
        _ reader: inout StateReader
    ) throws(TraceError) -> (told: Cooldown, flags: UInt8) {
        let flags = try reader.integer(UInt8.self)
        var cooldown = Cooldown()
        cooldown.told = try reader.integer(Int64.self)
        return (cooldown, flags)
    }
}
