import SystemIO
import TraceFiles
import TraceModel
import TraceTime

/// Texts that appear in all rows of an event, made once: the readable time, the nanoseconds since the epoch
/// (microseconds and milliseconds are prefixes of them), the process and the thread. It also holds values that are
/// constant for a batch or a process.
struct EventTexts {
    /// The shared storage.
    struct Content {
        /// Only `ReadableClock.byteCount` bytes are used.
        fileprivate var readable = InlineArray<24, UInt8>(repeating: 0)
        fileprivate var digits = InlineArray<24, UInt8>(repeating: 0)
        /// The number of valid `digits`; 0 if the number has to be formatted each time.
        var digitCount = 0
        var time = EpochNanoseconds.min
        /// The second that `digits` begin with, and its number of digits.
        var second: UInt64 = 0
        var secondDigits = 0
        var pid = NumberText(UInt64(0))
        var tid = NumberText(UInt64(0))
        var arrival: EpochNanoseconds = 0
        var used: StateSweep.Stamp = 0
        var semantics = Semantics.cumulative
        var hostField = ByteView.empty
        var givenName = EventText(ByteView.empty, isPlain: true)
        fileprivate var suppressed: UnsafeMutablePointer<SuppressedFindings>?
        fileprivate let clock: UnsafeMutablePointer<ReadableClock>
        fileprivate unowned(unsafe) let hosts: HostAccounts

        fileprivate init(clock: UnsafeMutablePointer<ReadableClock>, hosts: HostAccounts) {
            self.clock = clock
            self.hosts = hosts
        }
    }

    private let content: UnsafeMutablePointer<Content>

    /// Allocates the texts, which the caller owns, as it does `hosts`.
    static func allocate(zone: TimeZoneRules, hosts: HostAccounts) -> EventTexts {
        let clock = UnsafeMutablePointer<ReadableClock>.allocate(capacity: 1)
        clock.initialize(to: ReadableClock(zone: zone))
        let content = UnsafeMutablePointer<Content>.allocate(capacity: 1)
        content.initialize(to: Content(clock: clock, hosts: hosts))
        return EventTexts(content: content)
    }

    func deallocate() {
        let clock = content.pointee.clock
        content.deinitialize(count: 1)
        content.deallocate()
        clock.deinitialize(count: 1)
        clock.deallocate()
    }

    /// A copy of the content: for code that makes another context in the middle of an event and restores this one
    /// afterwards.
    var saved: Content {
        get { content.pointee }
        nonmutating set { content.pointee = newValue }
    }

    @inline(__always) var arrival: EpochNanoseconds { content.pointee.arrival }

    /// The stamp for state entries that the batch uses.
    @inline(__always) var used: StateSweep.Stamp { content.pointee.used }

    @inline(__always) var semantics: Semantics { content.pointee.semantics }

    @inline(__always) var hostField: ByteView { content.pointee.hostField }

    @inline(__always) var givenName: EventText { content.pointee.givenName }

    /// Where findings are counted.
    var hosts: HostAccounts { content.pointee.hosts }

    @inline(__always) var suppressed: UnsafeMutablePointer<SuppressedFindings> {
        content.pointee.suppressed.unsafelyUnwrapped
    }

    func setBatch(arrival: EpochNanoseconds, semantics: Semantics, hostField: ByteView) {
        content.pointee.arrival = arrival
        content.pointee.used = StateSweep.stamp(arrival)
        content.pointee.semantics = semantics
        content.pointee.hostField = hostField
    }

    @inline(__always) func setProcess(
        givenName: EventText,
        suppressed: UnsafeMutablePointer<SuppressedFindings>
    ) {
        content.pointee.givenName = givenName
        content.pointee.suppressed = suppressed
    }

    @inline(__always) func set(pid: NumberText) { content.pointee.pid = pid }

    @inline(__always) func set(tid: NumberText) { content.pointee.tid = tid }

    @inline(__always) func appendPID(to text: inout RowWriter) { text.append(content.pointee.pid) }

    @inline(__always) func appendTID(to text: inout RowWriter) { text.append(content.pointee.tid) }

    /// The time that the texts represent.
    @inline(__always) var time: EpochNanoseconds { content.pointee.time }

    func set(_ time: EpochNanoseconds) {
        content.pointee.clock.pointee.write(time, to: readableBytes)
        content.pointee.time = time
        // Times before 1970-01-01T00:00:01Z have too few digits.
        guard time >= 1_000_000_000 else {
            content.pointee.digitCount = 0
            return
        }
        let second = UInt64(time) / 1_000_000_000
        if second != content.pointee.second {
            content.pointee.second = second
            content.pointee.secondDigits = NumberText(second).write(at: digits) - digits
        }
        let count = content.pointee.secondDigits
        let below = UInt64(time) - second * 1_000_000_000
        DecimalText.writeNine(below, at: digits + count)
        content.pointee.digitCount = count + 9
    }

    private var readableBytes: UnsafeMutableRawPointer { UnsafeMutableRawPointer(content) }

    /// The digits follow the 24 bytes of the readable time.
    @inline(__always) private var digits: UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(content) + 24
    }

    /// `HH:MM:SS.mmm` in the configured zone. 24 bytes are readable there.
    @inline(__always) var readable: UnsafeRawPointer { UnsafeRawPointer(content) }

    /// Appends the time as `RawBuffer.appendMicroseconds` does.
    @inline(__always) func appendMicroseconds(to text: inout RowWriter) {
        let count = content.pointee.digitCount
        guard count > 0, !hasNanoseconds(count) else {
            return text.appendMicroseconds(ns: content.pointee.time)
        }
        text.append(count - 3, of24: digits)
    }

    /// Appends the time in milliseconds, rounded down.
    @inline(__always) func appendMilliseconds(to text: inout RowWriter) {
        let count = content.pointee.digitCount
        if count > 0 { return text.append(count - 6, of24: digits) }
        let time = content.pointee.time
        text.appendDecimal(time >= 0 ? time / 1_000_000 : (time - 999_999) / 1_000_000)
    }

    @inline(__always) func appendNanoseconds(to text: inout RowWriter) {
        let count = content.pointee.digitCount
        if count > 0 { return text.append(count, of24: digits) }
        text.appendDecimal(content.pointee.time)
    }

    /// Returns whether one of the last three digits is not 0.
    @inline(__always) private func hasNanoseconds(_ count: Int) -> Bool {
        let zero = UInt8(ascii: "0")
        let last = digits + (count - 3)
        return last.load(as: UInt8.self) != zero
            || last.load(fromByteOffset: 1, as: UInt8.self) != zero
            || last.load(fromByteOffset: 2, as: UInt8.self) != zero
    }
}
