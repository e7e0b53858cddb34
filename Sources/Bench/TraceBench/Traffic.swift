import SystemIO
package import TraceModel
package import TraceTime
import TraceWire

/// An endless row of batches: templates in turn, with timestamps up to now and counters that go on growing.
/// Encoded once, so that making one costs little more than a copy.
package struct Traffic: Sendable {
    private static let templatesMin = 16

    package struct Batch: Sendable {
        package let bytes: [UInt8]
        package let events: Int
    }

    private let templates: [BatchTemplate]
    /// What a pass over all templates adds to each counter.
    private let growth: [UInt64]
    private var index = 0
    private var pass: UInt64 = 0
    private var clock: StampClock
    private var sentUntil: EpochNanoseconds?

    /// Encodes everything; takes about a second.
    package init(_ plan: LoadPlan, zone: TimeZoneRules) {
        let count = max(Self.templatesMin, plan.encodedEvents / plan.batchEvents)
        var functions = FunctionEvents(processes: plan.processes, functions: plan.functions)
        var mixed = MixedEvents(processes: plan.processes, functions: plan.functions)
        var encoder = BatchEncoder()
        var envelope = BatchEncoder.Envelope()
        envelope.semantics = .cumulative
        templates = (0..<count).map { _ in
            encoder.removeAll()
            switch plan.mix {
            case .function: functions.append(plan.batchEvents, to: &encoder)
            case .mixed: mixed.append(plan.batchEvents, to: &encoder)
            }
            encoder.append(envelope)
            return BatchTemplate(encoder, marks: mixed.counters.takeMarks())
        }
        growth = mixed.counters.growth
        clock = StampClock(zone: zone)
    }

    /// Mean size of a batch on the wire, bytes.
    package var batchBytes: Int { templates.reduce(0) { $0 + $1.bytes.count } / templates.count }

    /// The next batch; its events cover the time since the one before.
    package mutating func next() -> Batch { next(at: WallClock.now()) }

    package mutating func next(at now: EpochNanoseconds) -> Batch {
        let template = templates[index]
        index += 1
        let start = min(sentUntil ?? now, now)
        sentUntil = max(sentUntil ?? now, now)
        let bytes = template.stamped(
            from: start,
            to: now,
            clock: &clock,
            pass: pass,
            growth: growth
        )
        if index == templates.count {
            index = 0
            pass += 1
        }
        return Batch(bytes: bytes, events: template.events)
    }

    /// Forgets when the last batch went out: a pause is not to be filled with events.
    package mutating func restart() { sentUntil = nil }
}
