import AnomalyRules
import SystemIO
import TraceModel
import TraceWire

/// Rules for retransmits, relative to the packets sent, and for errors. The agent counts both from the traced
/// process's start; a sample of 0 is ignored.
struct NetworkQualityRules: BitwiseCopyable {
    private var retransmits: UInt32 = 0
    /// Retransmits since the packets at `packetsBase`.
    private var pending: UInt64 = 0
    private var packetsBase: UInt64 = 0
    private var warning = Alarm()
    private var severe = Alarm()
    private var errorCount: UInt32 = 0
    private var errors = Alarm()

    init() {}

    @inline(__always) mutating func evaluate(
        _ event: NetworkEvent,
        packetsSent: UInt64,
        of process: ByteView,
        _ context: EventContext
    ) {
        let sample = event.retransmits
        if sample != 0 {
            pending += UInt64(sample < retransmits ? sample : sample - retransmits)
            retransmits = sample
        }
        if packetsSent < packetsBase { packetsBase = 0 }
        let packets = Double(packetsSent - packetsBase)
        if packets >= context.threshold(.retransmitsPacketsMin) {
            let percent = Double(pending) / packets * 100
            pending = 0
            packetsBase = packetsSent
            evaluate(retransmitPercent: percent, process, context)
        }
        if event.errors != 0, event.errors != errorCount {
            let grown = event.errors < errorCount ? event.errors : event.errors - errorCount
            evaluate(errors: grown, of: event.errors, process, context)
            errorCount = event.errors
        }
    }

    private mutating func evaluate(
        retransmitPercent percent: Double,
        _ process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.retransmits) else { return }
        let cooldown = context.cooldown(.retransmits)
        let low = context.threshold(.retransmitsWarnPercent)
        let high = context.threshold(.retransmitsSeverePercent)
        let severeVerdict = severe.observe(
            isAbove: percent > high,
            isClear: percent <= low,
            at: context.time,
            cooldown: cooldown
        )
        let warningVerdict = warning.observe(
            isAbove: percent > low,
            isClear: percent <= low / 2,
            at: context.time,
            cooldown: cooldown
        )
        // Both alarms may apply; a warning that is raised outranks a severe finding that is suppressed.
        let isSevere = severeVerdict == .raised || severeVerdict != nil && warningVerdict != .raised
        guard let verdict = isSevere ? severeVerdict : warningVerdict else { return }
        var finding = EventContext.Finding.above(.retransmits, percent, isSevere ? high : low)
        finding.severity = isSevere ? 0.9 : 0.4
        context.raise(
            finding,
            verdict,
            key: isSevere ? 1 : 0,
            process: process,
            "\(EventContext.rounded(percent)) % of the packets sent were retransmits"
        )
    }

    private mutating func evaluate(
        errors grown: UInt32,
        of count: UInt32,
        _ process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.errors) else { return }
        let verdict = errors.fire(at: context.time, cooldown: context.cooldown(.errors))
        let finding = EventContext.Finding(
            rule: .errors,
            value: Double(count),
            baseline: Double(count - grown),
            score: Double(grown),
            severity: 0.5
        )
        context.raise(finding, verdict, process: process, "\(grown) more errors, \(count) in all")
    }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: retransmits)
        buffer.append(integer: pending)
        buffer.append(integer: packetsBase)
        buffer.append(integer: errorCount)
        for alarm in [warning, severe, errors] { alarm.encode(into: &buffer) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        retransmits = try reader.integer(UInt32.self)
        pending = try reader.integer(UInt64.self)
        packetsBase = try reader.integer(UInt64.self)
        errorCount = try reader.integer(UInt32.self)
        warning = try Alarm(decoding: &reader)
        severe = try Alarm(decoding: &reader)
        errors = try Alarm(decoding: &reader)
    }
}
