/// Where a setting's value comes from; a later one wins over an earlier one.
package enum SettingSource: Equatable, Sendable {
    case standard
    /// What the last `up`, or a `scale` since, left.
    case remembered
    case file(line: Int)
    case environment(String)
    case flag(String)

    /// One word for programs.
    package var name: String {
        switch self {
        case .standard: "default"
        case .remembered: "remembered"
        case .file: "file"
        case .environment: "environment"
        case .flag: "flag"
        }
    }

    /// Whether the next start is to have the value too, without being told again.
    var isRemembered: Bool {
        switch self {
        case .standard, .file: false
        case .remembered, .environment, .flag: true
        }
    }
}
