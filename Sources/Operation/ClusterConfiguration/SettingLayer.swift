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
