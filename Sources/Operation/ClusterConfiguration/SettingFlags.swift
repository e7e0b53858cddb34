import TraceModel

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
            guard !text.isEmpty else {
                throw TraceError(.invalidArgument, "\(flag): the value is empty")
            }
            for (key, value) in try setting.values(of: text, at: flag) {
                layer.set(key, value, .flag(flag))
            }
        }
        return layer
    }

    /// The value of a flag that stands without `=`: `on` where it needs none.
    private static func value(of setting: Setting, _ rest: inout ArraySlice<String>) -> String? {
        guard case .onOff = setting.kind else { return rest.popFirst() }
        return "on"
    }
}
