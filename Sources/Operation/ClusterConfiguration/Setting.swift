import TraceModel

/// The value of a setting.
package enum SettingValue: Encodable, Equatable, Sendable, CustomStringConvertible {
    case text(String)
    case number(Int)
    case isOn(Bool)

    /// The value as on the command line, in the environment, and in the remembered settings.
    package var description: String {
        switch self {
        case .text(let text): text
        case .number(let number): String(number)
        case .isOn(let isOn): isOn ? "on" : "off"
        }
    }

    /// Encodes the value itself: a string, a number or a boolean.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .isOn(let isOn): try container.encode(isOn)
        }
    }
}

/// The source of a setting's value; a later one wins over an earlier one.
package enum SettingSource: Equatable, Sendable {
    case standard
    /// A value left by the last `up`, or by a `scale` since then.
    case remembered
    case file(line: Int)
    case environment(String)
    case flag(String)

    /// The source's name in JSON output.
    package var name: String {
        switch self {
        case .standard: "default"
        case .remembered: "remembered"
        case .file: "file"
        case .environment: "environment"
        case .flag: "flag"
        }
    }

    /// Whether the next start keeps the value without being given it again.
    var isRemembered: Bool {
        switch self {
        case .standard, .file: false
        case .remembered, .environment, .flag: true
        }
    }
}

/// The values that one source sets, by key: a setting's name, or `workers.` and a resource.
struct SettingLayer {
    /// A value with its source.
    struct Entry: Equatable {
        let value: SettingValue
        let source: SettingSource
    }

    private(set) var entries: [String: Entry] = [:]

    subscript(_ key: String) -> Entry? { entries[key] }

    mutating func set(_ key: String, _ value: SettingValue, _ source: SettingSource) {
        entries[key] = Entry(value: value, source: source)
    }

    /// Returns these values, replaced by the other layer's where it has some.
    func overlaid(by other: SettingLayer) -> SettingLayer {
        var result = self
        result.entries.merge(other.entries) { $1 }
        return result
    }
}

/// One setting of a cluster: its names, its possible values, the programs that read it, and its description.
/// `Setting.all` contains all settings; checks, help and reference are generated from it.
package struct Setting: Sendable {
    /// The key in a configuration file, from which the flag is derived.
    package let name: String
    package let kind: SettingKind
    /// The default value.
    package let standard: String
    /// A description of the default, where the value itself is not clear.
    let standardText: String?
    /// The environment variable; that of an address contains only the port.
    package let variable: String?
    /// The programs that have an option with the flag's name. They get it unless the value is `off` or 0.
    package let readers: [Program]
    package let help: String

    init(
        _ name: String,
        _ kind: SettingKind,
        standard: String,
        meaning standardText: String? = nil,
        variable: String? = nil,
        readers: [Program] = [],
        _ help: String
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

    /// Whether a configuration file may set it: every setting but the file's own path.
    package var isInFile: Bool { if case .file = kind { false } else { true } }

    /// The default as a value; of `workers`, that of each resource.
    var standardValue: SettingValue {
        switch kind {
        case .workers: .number(1)
        case .count, .limit: .number(Int(standard) ?? 0)
        case .onOff: .isOn(standard == "on")
        default: .text(standard)
        }
    }

    /// The keys of its values: the setting's name, or for `workers` one for each resource.
    var keys: [String] {
        if case .workers = kind { Resource.allCases.map(Self.key) } else { [name] }
    }

    /// The default as it is shown to people.
    package var defaultText: String { standardText ?? standard }

    /// What a program without the option runs with, as it is shown to people.
    var absentText: String {
        if case .addressOrOff = kind { return "off" }
        return name == "edge" ? "off" : defaultText
    }

    /// Returns the setting with a name, which must exist.
    package static subscript(_ name: String) -> Setting {
        guard let setting = all.first(where: { $0.name == name }) else {
            preconditionFailure("no setting \(name)")
        }
        return setting
    }

    /// Parses a flag's or a variable's text into values by key: one for the setting, or for `workers` one for each
    /// resource.
    /// - Throws: `TraceError(.invalidArgument)` that begins with `origin`.
    func values(
        of text: String,
        at origin: String
    ) throws(TraceError) -> [(key: String, value: SettingValue)] {
        guard case .workers = kind else {
            guard let value = kind.value(of: text) else {
                throw TraceError(
                    .invalidArgument,
                    "\(origin) takes \(kind.expectation), not \"\(text)\""
                )
            }
            return [(name, value)]
        }
        guard let counts = WorkerCounts.parse(text), !counts.isEmpty else {
            throw TraceError(
                .invalidArgument,
                "\(origin) takes \(kind.expectation), as function=2,cpu=1, not \"\(text)\""
            )
        }
        return counts.map { (Self.key(of: $0.key), .number($0.value)) }
    }

    /// Converts a variable's text to that of the flag; `lower` is the value without the variable. A variable of an
    /// address is the port only, and the name of a time zone may follow a colon.
    func word(ofVariable text: String, over lower: SettingValue?) -> String {
        switch kind {
        case .addressOrOff where text == "off": return text
        case .address, .addressOrOff:
            // A port alone turns on what a lower source has turned off.
            let lower = lower?.description == "off" ? nil : lower
            let address = lower?.description ?? standard
            return address.prefix(through: address.lastIndex(of: ":") ?? address.startIndex) + text
        case .timeZone: return text.hasPrefix(":") ? String(text.dropFirst()) : text
        default: return text
        }
    }

    /// Returns the key for a resource's number of workers.
    static func key(of resource: Resource) -> String { "workers.\(resource.name)" }
}
