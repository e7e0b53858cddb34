package import TraceModel

/// The time of an event.
package struct ParsedTimestamp: Sendable, Equatable {
    /// Origin of the time.
    package enum Kind: UInt8, Sendable {
        /// Parsed from the agent's timestamp.
        case valid
        /// The arrival time, as there is no timestamp.
        case absent
        /// The arrival time, as the timestamp is invalid; to be counted.
        case invalid
    }

    package let nanoseconds: EpochNanoseconds
    package let kind: Kind

    package init(nanoseconds: EpochNanoseconds, kind: Kind) {
        self.nanoseconds = nanoseconds
        self.kind = kind
    }
}

/// Parses the agents' timestamps: `YYYY-MM-DD HH:MM:SS[.f…]` (1 to 9 decimal places) in the configured zone, or decimal
/// seconds since the epoch (decimal places after the ninth are ignored). Valid are 1970 to the end of 2200 in either
/// form, without blanks, signs or exponents. Second 60 (a leap second) is the next minute's first. A repeated hour
/// means its earlier instant; a skipped time is moved forward by the gap.
///
/// Caches the last minute and the last day, so that an event in the same minute needs no calendar computation.
package struct TimestampParser {
    private let zone: TimeZoneRules
    /// `YYYY-MM-DD HH:MM` of the last date as two words, and the start of that minute. Zeros match no text, as a date
    /// contains hyphens.
    private var minuteHigh: UInt64 = 0
    private var minuteLow: UInt64 = 0
    private var minuteEpochSecond = 0
    /// A local day without a change of offset, in days since 1970-01-01.
    private var cachedDay = Int.min
    private var cachedDayOffset = 0

    private static var nanosecondsPerSecond: Int { 1_000_000_000 }
    /// 2201-01-01 in UTC. A literal, to avoid the access check of a lazy global for each event.
    private static var epochSecondEnd: Int { 7_289_654_400 }

    package init(zone: TimeZoneRules) { self.zone = zone }

    /// Returns the instant of `text`, or `arrival` if it has none. Does not allocate.
    package mutating func parse(_ text: ByteView, arrival: EpochNanoseconds) -> ParsedTimestamp {
        guard text.count > 0, let start = unsafe text.start else {
            return ParsedTimestamp(nanoseconds: arrival, kind: .absent)
        }
        // The fifth byte distinguishes the forms: a date has its first hyphen there.
        let isDate =
            unsafe text.count >= 19 && start.load(fromByteOffset: 4, as: UInt8.self) == 0x2D
        let parsed = unsafe isDate ? date(start, text.count) : seconds(start, text.count)
        guard let parsed else { return ParsedTimestamp(nanoseconds: arrival, kind: .invalid) }
        return ParsedTimestamp(nanoseconds: EpochNanoseconds(parsed), kind: .valid)
    }

    // MARK: Dates

    @inline(__always) private mutating func date(_ start: UnsafeRawPointer, _ count: Int) -> Int? {
        let high = unsafe start.loadUnaligned(as: UInt64.self)
        let low = unsafe start.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        if high != minuteHigh || low != minuteLow {
            guard let minute = unsafe minute(start) else { return nil }
            minuteHigh = high
            minuteLow = low
            minuteEpochSecond = minute
        }
        guard unsafe start.load(fromByteOffset: 16, as: UInt8.self) == UInt8(ascii: ":"),
            let second = unsafe twoDigits(start + 17),
            second <= 60, let fraction = unsafe dateFraction(start, count)
        else { return nil }
        return (minuteEpochSecond &+ second) &* Self.nanosecondsPerSecond &+ fraction
    }

    @inline(__always) private func dateFraction(_ start: UnsafeRawPointer, _ count: Int) -> Int? {
        if count == 19 { return 0 }
        guard count >= 21, count <= 29,
            unsafe start.load(fromByteOffset: 19, as: UInt8.self) == UInt8(ascii: ".")
        else {
            return nil
        }
        return unsafe fraction(start + 20, count - 20)
    }

    /// Computes the minute's first second; called only when the minute changes.
    @inline(never) private mutating func minute(_ start: UnsafeRawPointer) -> Int? {
        func separated(_ offset: Int, by separator: UInt8) -> Int? {
            guard unsafe start.load(fromByteOffset: offset - 1, as: UInt8.self) == separator else {
                return nil
            }
            return unsafe twoDigits(start + offset)
        }
        guard let century = unsafe twoDigits(start),
            let yearOfCentury = unsafe twoDigits(start + 2),
            let month = separated(5, by: UInt8(ascii: "-")),
            let day = separated(8, by: UInt8(ascii: "-")),
            let hour = separated(11, by: UInt8(ascii: " ")),
            let minute = separated(14, by: UInt8(ascii: ":"))
        else { return nil }
        let year = century * 100 + yearOfCentury
        guard year >= 1970, year <= 2200, month >= 1, month <= 12, day >= 1,
            day <= CivilTime.daysInMonth(month, year: year), hour <= 23, minute <= 59
        else { return nil }
        let dayNumber = CivilTime.days(year: year, month: month, day: day)
        let local = dayNumber * 86_400 + hour * 3_600 + minute * 60
        let epochSecond = epochSecond(ofLocal: local, day: dayNumber)
        // East of Greenwich the first local hours of 1970 precede the epoch.
        return epochSecond >= 0 ? epochSecond : nil
    }

    private mutating func epochSecond(ofLocal local: Int, day: Int) -> Int {
        if day == cachedDay { return local - cachedDayOffset }
        guard let offset = zone.offset(ofDay: day) else { return zone.epochSecond(ofLocal: local) }
        cachedDay = day
        cachedDayOffset = offset
        return local - offset
    }

    // MARK: Seconds since the epoch

    private func seconds(_ start: UnsafeRawPointer, _ count: Int) -> Int? {
        var whole = 0
        var index = 0
        while index < count, let digit = unsafe digit(start + index) {
            whole = whole * 10 + digit
            guard whole < Self.epochSecondEnd else { return nil }
            index += 1
        }
        guard index > 0 else { return nil }
        if index == count { return whole * Self.nanosecondsPerSecond }
        guard unsafe start.load(fromByteOffset: index, as: UInt8.self) == UInt8(ascii: "."),
            index + 1 < count
        else {
            return nil
        }
        let digits = count - index - 1
        for position in min(digits, 9)..<digits
        where unsafe digit(start + index + 1 + position) == nil {
            return nil
        }
        guard let fraction = unsafe fraction(start + index + 1, min(digits, 9)) else { return nil }
        return whole * Self.nanosecondsPerSecond + fraction
    }

    // MARK: Digits

    /// Parses 1 to 9 decimal places to nanoseconds.
    @inline(__always) private func fraction(_ start: UnsafeRawPointer, _ count: Int) -> Int? {
        var value = 0
        for index in 0..<count {
            guard let digit = unsafe digit(start + index) else { return nil }
            value = value &* 10 &+ digit
        }
        return value &* Self.scale(9 - count)
    }

    @inline(__always) private static func scale(_ power: Int) -> Int {
        switch power {
        case 0: 1
        case 1: 10
        case 2: 100
        case 3: 1_000
        case 4: 10_000
        case 5: 100_000
        case 6: 1_000_000
        case 7: 10_000_000
        default: 100_000_000
        }
    }

    @inline(__always) private func twoDigits(_ start: UnsafeRawPointer) -> Int? {
        guard let tens = unsafe digit(start), let ones = unsafe digit(start + 1) else { return nil }
        return tens &* 10 &+ ones
    }

    @inline(__always) private func digit(_ start: UnsafeRawPointer) -> Int? {
        let value = unsafe start.load(as: UInt8.self) &- UInt8(ascii: "0")
        return value <= 9 ? Int(value) : nil
    }
}
