import TraceModel

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

/// Values that one source gives, by key: a setting's name, or `workers.` and a resource.
struct SettingLayer {
    struct Entry: Equatable {
        let value: SettingValue
        let source: SettingSource
    }

    private(set) var entries: [String: Entry] = [:]

    subscript(_ key: String) -> Entry? { entries[key] }

    mutating func set(_ key: String, _ value: SettingValue, _ source: SettingSource) {
        entries[key] = Entry(value: value, source: source)
    }

    /// This one, with the other's values where it has some.
    func overlaid(by other: SettingLayer) -> SettingLayer {
        var result = self
        result.entries.merge(other.entries) { $1 }
        return result
    }
}

/// One setting of a cluster: its names, what may stand there, who reads it, and what it does. All of
/// them stand in `Setting.all`, from which checks, help and reference are made.
package struct Setting: Sendable {
    /// The key in a configuration file; the flag is made of it.
    package let name: String
    package let kind: SettingKind
    /// The value where nothing else says one.
    package let standard: String
    /// What that comes to, where it does not say itself.
    let standardText: String?
    /// The environment variable; of an address it holds the port only.
    package let variable: String?
    /// The programs that have an option of the flag's name; they get it unless the value is `off` or 0.
    package let readers: [Program]
    package let help: String

    init(
        _ name: String, _ kind: SettingKind, standard: String, meaning standardText: String? = nil,
        variable: String? = nil, readers: [Program] = [], _ help: String
    ) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.standardText = standardText
        self.variable = variable
        self.readers = readers
        self.help = help
    }

    package var flag: String { "--" + name.replacing("_", with: "-") }

    /// Whether a configuration file may say it: all but which file that is.
    package var isInFile: Bool { if case .file = kind { false } else { true } }

    /// The default, as a value; of `workers` that of each resource.
    var standardValue: SettingValue {
        switch kind {
        case .workers: .number(1)
        case .count, .limit: .number(Int(standard) ?? 0)
        case .onOff: .isOn(standard == "on")
        default: .text(standard)
        }
    }

    /// The keys of its values: its name, or for `workers` one a resource.
    var keys: [String] { if case .workers = kind { Resource.allCases.map(Self.key) } else { [name] } }

    /// The default, for people.
    package var defaultText: String { standardText ?? standard }

    /// The setting of that name, which is one of ours.
    package static subscript(_ name: String) -> Setting {
        guard let setting = all.first(where: { $0.name == name }) else { preconditionFailure("no setting \(name)") }
        return setting
    }

    /// What a flag's or a variable's text sets: the setting itself, or for `workers` each resource's.
    /// - Throws: `TraceError(.invalidArgument)` that begins with `place`.
    func values(of text: String, at place: String) throws(TraceError) -> [(key: String, value: SettingValue)] {
        guard case .workers = kind else {
            guard let value = kind.value(of: text) else {
                throw TraceError(.invalidArgument, "\(place) takes \(kind.expectation), not \"\(text)\"")
            }
            return [(name, value)]
        }
        guard let counts = WorkerCounts.parse(text), !counts.isEmpty else {
            throw TraceError(
                .invalidArgument, "\(place) takes \(kind.expectation), as function=2,cpu=1, not \"\(text)\"")
        }
        return counts.map { (Self.key(of: $0.key), .number($0.value)) }
    }

    /// What a variable's text comes to as a flag's, where without it `lower` holds: of an address it is the
    /// port, and before the name of a time zone there may be a colon.
    func word(ofVariable text: String, over lower: SettingValue?) -> String {
        switch kind {
        case .address:
            let address = lower?.description ?? standard
            return address.prefix(through: address.lastIndex(of: ":") ?? address.startIndex) + text
        case .timeZone: return text.hasPrefix(":") ? String(text.dropFirst()) : text
        default: return text
        }
    }

    /// The key under which the number of a resource's workers goes.
    static func key(of resource: Resource) -> String { "workers.\(resource.name)" }
}
