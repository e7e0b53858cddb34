package import SystemIO
package import TraceModel

/// Whether a rule has raised for one key, and when it last told so.
package struct Alarm: BitwiseCopyable {
    private var isRaised = false
    private var told = Cooldown()

    package init() {}

    /// As `Cooldown.fire`.
    package mutating func fire(at time: Int64, cooldown: Int64) -> Bool {
        told.fire(at: time, cooldown: cooldown)
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

    package func encode(into buffer: inout RawBuffer) { told.encode(into: &buffer, isRaised) }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        (told, isRaised) = try Cooldown.decode(&reader)
    }
}
