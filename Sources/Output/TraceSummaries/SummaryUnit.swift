/// What a whole number in a summary counts, and how its files show it.
package enum SummaryUnit: Sendable {
    /// Shown as it is.
    case count
    /// Shown in milliseconds.
    case nanoseconds
    /// Shown in milliseconds.
    case microseconds
    /// Millionths of a percent, shown in percent.
    case millionths
    /// Shown as it is.
    case percent
    /// Nanoseconds since the epoch, 0 for none. People see a date and time.
    case time

    /// Behind a column's name in files.
    package var suffix: String {
        switch self {
        case .count: ""
        case .nanoseconds, .microseconds: "_ms"
        case .millionths, .percent: "_percent"
        case .time: "_ts_ns"
        }
    }

    /// Of one shown.
    package var scale: Double {
        switch self {
        case .count, .percent, .time: 1
        case .nanoseconds, .millionths: 1e6
        case .microseconds: 1e3
        }
    }
}
