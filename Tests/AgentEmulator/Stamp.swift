/// Writes times as agents do: `YYYY-MM-DD HH:MM:SS.fff` in UTC, cut to milliseconds.
struct Stamp {
    /// Seconds since the epoch at which the run starts.
    let start: Int64
    private var second = Int64.min
    private var prefix = ""

    init(start: Int64) { self.start = start }

    /// `time`: microseconds since the start of the run.
    mutating func text(_ time: Int64) -> String {
        let seconds = start + time / 1_000_000
        if seconds != second {
            second = seconds
            prefix = Self.calendar(seconds)
        }
        return prefix + Self.padded(time / 1_000 % 1_000, 3)
    }

    private static func calendar(_ seconds: Int64) -> String {
        let (day, rest) = (seconds / 86_400, seconds % 86_400)
        // Days counted from 1 March of year 0, in eras of 400 years: leap days are at the ends of years then.
        let shifted = day + 719_468
        let (era, ofEra) = (shifted / 146_097, shifted % 146_097)
        let yearOfEra = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * ofYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let dayOfMonth = ofYear - (153 * shiftedMonth + 2) / 5 + 1
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
        let time = [rest / 3_600, rest / 60 % 60, rest % 60].map { padded($0, 2) }
        return "\(date) \(time.joined(separator: ":"))."
    }

    private static func padded(_ number: Int64, _ digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
