import SystemIO
package import TraceModel
package import TraceTime
import TraceWire

/// The kinds of events that a load consists of.
package enum EventMix: String, CaseIterable, Sendable, Codable {
    /// Only entries and exits of functions.
    case function
    /// All six kinds in equal numbers.
    case mixed
}

/// An encoded batch in which only timestamps and cumulative counters change each time that it is sent.
package struct BatchTemplate: Sendable {
    /// The place of a cumulative counter.
    private struct Counter {
        let offset: Int
        let mark: GrowingCounters.Mark
    }

    package let bytes: [UInt8]
    package let events: Int
    /// Offsets of the timestamps.
    private let stamps: [Int]
    private let counters: [Counter]

    /// Makes a template of the batch in `encoder`, whose events have `StampClock.placeholder` as timestamp; the encoder
    /// is not changed. `marks` are those of the counters, in the order in which the batch contains them.
    init(_ encoder: borrowing BatchEncoder, marks: [GrowingCounters.Mark] = []) {
        bytes = unsafe [UInt8](encoder.bytes)
        events = encoder.eventCount
        var search = ByteSearch(bytes)
        let placeholder = Array(StampClock.placeholder.utf8)
        stamps = (0..<events).map { _ in search.next(placeholder) }
        search = ByteSearch(bytes)
        counters = marks.enumerated().map { index, mark in
            Counter(offset: search.next(Self.text(of: mark, at: index)), mark: mark)
        }
    }

    private static func text(of mark: GrowingCounters.Mark, at index: Int) -> [UInt8] {
        guard let width = GrowingCounters.Width(rawValue: mark.width) else {
            preconditionFailure("no such width")
        }
        var text = [UInt8](repeating: 0, count: mark.width)
        unsafe text.withUnsafeMutableBytes { text in
            guard let base = text.baseAddress else { return }
            unsafe GrowingCounters.write(
                GrowingCounters.mark(index, width),
                width: mark.width,
                to: base
            )
        }
        return text
    }

    /// Returns a copy whose events are spread over the time from `start` to `end`, in order, and whose counters have
    /// grown by `growth` (by key) `pass` times.
    func stamped(
        from start: EpochNanoseconds,
        to end: EpochNanoseconds,
        clock: inout StampClock,
        pass: UInt64 = 0,
        growth: [UInt64] = []
    ) -> [UInt8] {
        var batch = bytes
        let span = max(0, end - start)
        let count = Int64(stamps.count)
        unsafe batch.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            for (index, offset) in stamps.enumerated() {
                unsafe clock.write(start + span * Int64(index + 1) / count, to: base + offset)
            }
            for counter in counters {
                let mark = counter.mark
                unsafe GrowingCounters.write(
                    mark.base + pass * growth[mark.key],
                    width: mark.width,
                    to: base + counter.offset
                )
            }
        }
        return batch
    }
}

/// Finds one byte sequence after the other.
private struct ByteSearch {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Returns the offset of a text behind the previous one; it must be there.
    mutating func next(_ text: [UInt8]) -> Int {
        while offset + text.count <= bytes.count {
            if bytes[offset] == text[0], bytes[offset..<(offset + text.count)].elementsEqual(text) {
                defer { offset += text.count }
                return offset
            }
            offset += 1
        }
        preconditionFailure("a placeholder is missing")
    }
}

/// Writes timestamps as agents send them: `YYYY-MM-DD HH:MM:SS.fff` in local time.
package struct StampClock: Sendable {
    package static let byteCount = 23
    /// The placeholder of a timestamp.
    package static let placeholder = "0000-00-00 00:00:00.000"

    private let stems: StemClock
    private var second = Int.min
    private var millisecond = Int.min
    private var text = Array(Self.placeholder.utf8)

    package init(zone: TimeZoneRules) { stems = StemClock(zone: zone) }

    /// Writes `byteCount` bytes at `target`. Cheap while the second stays the same.
    package mutating func write(_ time: EpochNanoseconds, to target: UnsafeMutableRawPointer) {
        let milliseconds = Int(time) / 1_000_000
        if milliseconds != millisecond { render(milliseconds) }
        unsafe text.withUnsafeBytes { source in
            unsafe UnsafeMutableRawBufferPointer(start: target, count: Self.byteCount).copyMemory(
                from: source
            )
        }
    }

    private mutating func render(_ milliseconds: Int) {
        millisecond = milliseconds
        let seconds = milliseconds / 1_000
        if seconds != second {
            second = seconds
            // The form YYYYmmdd_HHMMSS.
            let stem = Array(stems.text(Int64(seconds) * 1_000_000_000).utf8)
            for (from, to) in zip(
                [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14],
                [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
            ) { text[to] = stem[from] }
        }
        let fraction = milliseconds % 1_000
        text[20] = UInt8(ascii: "0") + UInt8(fraction / 100)
        text[21] = UInt8(ascii: "0") + UInt8(fraction / 10 % 10)
        text[22] = UInt8(ascii: "0") + UInt8(fraction % 10)
    }
}

/// An endless sequence of batches: templates in turn, with timestamps up to now and growing counters. Templates are
/// encoded once, so that a batch costs little more than a copy.
package struct Traffic: Sendable {
    private static let templatesMin = 16

    /// A batch to send.
    package struct Batch: Sendable {
        package let bytes: [UInt8]
        package let events: Int
    }

    private let templates: [BatchTemplate]
    /// The amount that a pass over all templates adds to each counter.
    private let growth: [UInt64]
    private var index = 0
    private var pass: UInt64 = 0
    private var clock: StampClock
    private var sentUntil: EpochNanoseconds?

    /// Encodes the templates, which takes about a second.
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

    /// Mean size of a batch on the wire, in bytes.
    package var batchBytes: Int { templates.reduce(0) { $0 + $1.bytes.count } / templates.count }

    /// Returns the next batch; its events cover the time since the previous one.
    package mutating func next() -> Batch { next(at: WallClock.now()) }

    /// Returns the next batch, with timestamps up to `now`.
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

    /// Forgets when the last batch was sent, so that a pause is not filled with events.
    package mutating func restart() { sentUntil = nil }
}

/// SplitMix64: the same load for the same seed on every machine.
struct BenchRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Returns a number in `0..<bound`.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
