import ConfigurationText
import SystemIO
import TraceModel
import TraceTime

/// The kind of a setting: its possible values and their syntax.
package enum SettingKind: Sendable {
    /// `ADDR:PORT`.
    case address
    /// `ADDR:PORT`, or `off`.
    case addressOrOff
    /// `https://HOST`, without a path or with one that ends in a slash; or `local`.
    case webAddressOrLocal
    /// A number of workers for each resource.
    case workers
    /// An integer, 0 for none.
    case count(of: String, ClosedRange<Int>)
    /// An integer.
    case limit(of: String, ClosedRange<Int>)
    /// A name below /usr/share/zoneinfo, or a POSIX rule.
    case timeZone
    case onOff
    /// One of these words, or `off`.
    case choice([String])
    /// One of these words.
    case word([String])
    /// A time such as `7d`, or `off`.
    case age
    /// A size such as `20G`, or `off`.
    case size
    /// A size such as `512M`, of at least so many bytes.
    case sizeAtLeast(Int)
    /// An existing file.
    case file
    /// `s3://BUCKET/PREFIX`, or `off`.
    case objectStoreOrOff
    /// Addresses of NATS servers, or `off`.
    case logReplicaOrOff
    /// A name that can stand in a path: letters, digits, `-`, `_` and `.`.
    case name
    /// An existing file whose path has no spaces, or `off`.
    case fileOrOff
    /// IP addresses or networks, or `off`.
    case addressRanges

    /// The possible values, for a sentence that begins with "takes".
    package var expectation: String {
        switch self {
        case .address: "an address and a port, as 127.0.0.1:50051"
        case .addressOrOff: "an address and a port, as 127.0.0.1:9090, or off"
        case .webAddressOrLocal: "an address that begins with https:// or http://, or local"
        case .workers: "1 to \(Limits.workersPerResourceMax) for each of \(Self.resources)"
        case .count(let unit, let range):
            "whole \(unit), \(range.lowerBound) to \(range.upperBound), or 0"
        case .limit(let unit, let range):
            "whole \(unit), \(range.lowerBound) to \(range.upperBound)"
        case .timeZone: "a name in /usr/share/zoneinfo, as Europe/Berlin"
        case .onOff: "on or off"
        case .choice(let words): (words + ["off"]).joined(separator: " or ")
        case .word(let words): words.joined(separator: " or ")
        case .age: "a time as 90m, 36h or 7d, or off"
        case .size: "a size as 500M or 20G, or off"
        case .sizeAtLeast(let least): "a size as 512M, \(least >> 20)M or more"
        case .file: "a file that is there"
        case .objectStoreOrOff:
            "a bucket and a prefix of letters, digits, -, _ and ., as s3://traces/production, or off"
        case .logReplicaOrOff:
            "\(ReplicaAddresses.countMin) or more NATS servers, as nats://a,b:4222,c?monitor=8222, or off"
        case .name: "a name of letters, digits, -, _ and ., other than all"
        case .fileOrOff: "a file that is there, with no space in its path, or off"
        case .addressRanges: "addresses or networks, as 10.0.0.5,10.1.0.0/16, or off"
        }
    }

    /// The syntax of the value, in short.
    package var syntax: String {
        switch self {
        case .address: "ADDR:PORT"
        case .addressOrOff: "ADDR:PORT|off"
        case .webAddressOrLocal: "URL|local"
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
        case .objectStoreOrOff: "s3://BUCKET/PREFIX|off"
        case .logReplicaOrOff: "nats://HOST,HOST,HOST|off"
        case .name: "NAME"
        case .fileOrOff: "FILE|off"
        case .addressRanges: "ADDR,…|off"
        }
    }

    private static let resources = Resource.allCases.map(\.name).joined(separator: ", ")

    /// Parses a word of the command line or the environment; nil where it is not valid. Blocks on the file system for
    /// zones and files.
    func value(of word: String) -> SettingValue? {
        switch self {
        case .workers: return nil
        case .count(_, let range):
            return Self.number(word).flatMap { $0 == 0 || range.contains($0) ? .number($0) : nil }
        case .limit(_, let range):
            return Self.number(word).flatMap { range.contains($0) ? .number($0) : nil }
        case .onOff: return ["on": .isOn(true), "off": .isOn(false)][word]
        case .address: return HostPort(word).map { .text("\($0)") }
        case .addressOrOff:
            return word == "off" ? .text(word) : HostPort(word).map { .text("\($0)") }
        case .webAddressOrLocal:
            return word == "local" || Self.isWebAddress(word) ? .text(word) : nil
        case .timeZone:
            let isName = !word.contains(where: \.isWhitespace) && TimeZoneRules.isKnown(word)
            return isName ? .text(word) : nil
        case .choice(let words): return (words + ["off"]).contains(word) ? .text(word) : nil
        case .word(let words): return words.contains(word) ? .text(word) : nil
        case .age: return word == "off" || UnitNumber.seconds(word) != nil ? .text(word) : nil
        case .size: return word == "off" || UnitNumber.bytes(word) != nil ? .text(word) : nil
        case .sizeAtLeast(let least):
            return (UnitNumber.bytes(word) ?? 0) >= least ? .text(word) : nil
        case .file: return FileSystem.realPath(word).map { .text($0) }
        case .objectStoreOrOff:
            return word == "off" ? .text(word) : ObjectStoreAddress(word).map { .text("\($0)") }
        case .logReplicaOrOff:
            return word == "off" ? .text(word) : ReplicaAddresses(word).map { .text("\($0)") }
        case .name: return ObjectStoreAddress.isName(word) && word != "all" ? .text(word) : nil
        case .fileOrOff:
            if word == "off" { return .text(word) }
            let path = FileSystem.realPath(word)
            return path.flatMap { $0.contains(where: \.isWhitespace) ? nil : .text($0) }
        case .addressRanges:
            return word == "off" || AddressRange.list(word) != nil ? .text(word) : nil
        }
    }

    /// Whether the text is a URL that can stand in a command line and in a page: printable ASCII without quotes.
    private static func isWebAddress(_ word: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: word.hasPrefix),
            let first = word.dropFirst(scheme.count).first, first.isLetter || first.isNumber
        else { return false }
        return word.utf8.allSatisfy {
            (0x21...0x7E).contains($0) && !#""'<>\"#.utf8.contains($0)
        }
    }

    private static func number(_ word: String) -> Int? {
        word.utf8.allSatisfy({ (0x30...0x39).contains($0) }) ? Int(word) : nil
    }

    /// Converts a value of a configuration file; nil where it is not valid.
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

    /// The type of the value in a configuration file.
    package var fileSyntax: String {
        switch self {
        case .workers: "an object: resource and number"
        case .count, .limit: "a number"
        case .onOff: "true or false"
        default: "a string"
        }
    }
}

/// Parses settings from a command line: `--grpc ADDR:PORT`, `--grpc=ADDR:PORT`, `--csv-formula-guard`.
enum SettingFlags {
    /// Parses the words of a command line; of a repeated flag the last one counts.
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
            guard !text.isEmpty else {
                throw TraceError(.invalidArgument, "\(flag): the value is empty")
            }
            for (key, value) in try setting.values(of: text, at: flag) {
                layer.set(key, value, .flag(flag))
            }
        }
        return layer
    }

    /// Returns the value of a flag without `=`: `on` where the flag takes none.
    private static func value(of setting: Setting, _ rest: inout ArraySlice<String>) -> String? {
        guard case .onOff = setting.kind else { return rest.popFirst() }
        return "on"
    }
}
