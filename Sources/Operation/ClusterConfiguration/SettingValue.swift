/// What a setting is set to.
package enum SettingValue: Equatable, Sendable, CustomStringConvertible {
    case text(String)
    case number(Int)
    case isOn(Bool)

    /// As on the command line, in the environment, and in what is remembered.
    package var description: String {
        switch self {
        case .text(let text): text
        case .number(let number): String(number)
        case .isOn(let isOn): isOn ? "on" : "off"
        }
    }
}
