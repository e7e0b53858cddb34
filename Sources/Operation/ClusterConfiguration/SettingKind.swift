import ConfigurationText
import SystemIO
import TraceModel
import TraceTime

/// What may stand as a setting's value.
package enum SettingKind: Sendable {
    /// `ADDR:PORT`.
    case address
    /// A number of workers for each resource.
    case workers
    /// A whole number, 0 for none.
    case count(of: String, ClosedRange<Int>)
    /// A whole number.
    case limit(of: String, ClosedRange<Int>)
    /// A name below /usr/share/zoneinfo, or a POSIX rule.
    case timeZone
    case onOff
    /// One of these words, or `off`.
    case choice([String])
    /// One of these words.
    case word([String])
    /// A time as `7d`, or `off`.
    case age
    /// A size as `20G`, or `off`.
    case size
    /// A size as `512M`, at least so many bytes.
    case sizeAtLeast(Int)
    /// A file that is there.
    case file

    /// Goes on "takes …".
    package var expectation: String {
        switch self {
        case .address: "an address and a port, as 127.0.0.1:50051"
        case .workers: "1 to \(Limits.workersPerResourceMax) for each of \(Self.resources)"
        case .count(let unit, let range): "whole \(unit), \(range.lowerBound) to \(range.upperBound), or 0"
        case .limit(let unit, let range): "whole \(unit), \(range.lowerBound) to \(range.upperBound)"
        case .timeZone: "a name in /usr/share/zoneinfo, as Europe/Berlin"
        case .onOff: "on or off"
        case .choice(let words): (words + ["off"]).joined(separator: " or ")
        case .word(let words): words.joined(separator: " or ")
        case .age: "a time as 90m, 36h or 7d, or off"
        case .size: "a size as 500M or 20G, or off"
        case .sizeAtLeast(let least): "a size as 512M, \(least >> 20)M or more"
        case .file: "a file that is there"
        }
    }

    /// How the value is written, in short.
    package var syntax: String {
        switch self {
        case .address: "ADDR:PORT"
        case .workers: "RESOURCE=N,…"
        case .count(let unit, _), .limit(let unit, _): unit.uppercased()
        case .timeZone: "ZONE"
        case .onOff: "on|off"
        case .choice(let words): (words + ["off"]).joined(separator: "|")
        case .word(let words): words.joined(separator: "|")
        case .age: "AGE|off"
        case .size: "SIZE|off"
        case .sizeAtLeast: "SIZE"
        case .file: "FILE"
        }
    }

    private static let resources = Resource.allCases.map(\.name).joined(separator: ", ")

    /// The value that a word of the command line or the environment stands for; nil where it is none.
    /// Blocks on the file system for zones and files.
    func value(of word: String) -> SettingValue? {
        switch self {
        case .workers: return nil
        case .count(_, let range):
            return Self.number(word).flatMap { $0 == 0 || range.contains($0) ? .number($0) : nil }
        case .limit(_, let range): return Self.number(word).flatMap { range.contains($0) ? .number($0) : nil }
        case .onOff: return ["on": .isOn(true), "off": .isOn(false)][word]
        case .address: return HostPort(word).map { .text("\($0)") }
        case .timeZone:
            let isName = !word.contains(where: \.isWhitespace) && TimeZoneRules.isKnown(word)
            return isName ? .text(word) : nil
        case .choice(let words): return (words + ["off"]).contains(word) ? .text(word) : nil
        case .word(let words): return words.contains(word) ? .text(word) : nil
        case .age: return word == "off" || UnitNumber.seconds(word) != nil ? .text(word) : nil
        case .size: return word == "off" || UnitNumber.bytes(word) != nil ? .text(word) : nil
        case .sizeAtLeast(let least): return (UnitNumber.bytes(word) ?? 0) >= least ? .text(word) : nil
        case .file: return FileSystem.realPath(word).map { .text($0) }
        }
    }

    private static func number(_ word: String) -> Int? {
        word.utf8.allSatisfy({ (0x30...0x39).contains($0) }) ? Int(word) : nil
    }

    /// The value that stands in a configuration file; nil where it is none.
    func value(of content: ConfigurationNode.Content) -> SettingValue? {
        switch (self, content) {
        case (.count, .number(let number)), (.limit, .number(let number)):
            Int(exactly: number).flatMap { value(of: String($0)) }
        case (.onOff, .bool(let isOn)): .isOn(isOn)
        case (.count, _), (.limit, _), (.onOff, _): nil
        case (_, .string(let text)): value(of: text)
        default: nil
        }
    }

    /// How the value is written in a configuration file, where otherwise than as a word in quotes.
    package var fileSyntax: String {
        switch self {
        case .workers: "an object: resource and number"
        case .count, .limit: "a number"
        case .onOff: "true or false"
        default: "a string"
        }
    }
}

/// Reads settings from a command line: `--grpc ADDR:PORT`, `--grpc=ADDR:PORT`, `--csv-formula-guard`.
enum SettingFlags {
    /// Of one that stands twice the last counts.
    /// - Throws: `TraceError(.invalidArgument)` that names the word.
    static func read(_ words: [String]) throws(TraceError) -> SettingLayer {
        var layer = SettingLayer()
        var rest = words[...]
        while let word = rest.popFirst() {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let flag = String(parts[0])
            guard let setting = Setting.all.first(where: { $0.flag == flag }) else {
                let problem =
                    word.hasPrefix("-")
                    ? "unknown option \(flag)\(Suggestion.hint(for: flag, among: Setting.all.map(\.flag)))"
                    : "\"\(word)\" is no option"
                throw TraceError(.invalidArgument, problem)
            }
            let text = parts.count == 2 ? String(parts[1]) : value(of: setting, &rest)
            guard let text else { throw TraceError(.invalidArgument, "\(flag) takes a value") }
            guard !text.isEmpty else { throw TraceError(.invalidArgument, "\(flag): the value is empty") }
            for (key, value) in try setting.values(of: text, at: flag) { layer.set(key, value, .flag(flag)) }
        }
        return layer
    }

    /// The value of a flag that stands without `=`: `on` where it needs none.
    private static func value(of setting: Setting, _ rest: inout ArraySlice<String>) -> String? {
        guard case .onOff = setting.kind else { return rest.popFirst() }
        return "on"
    }
}
