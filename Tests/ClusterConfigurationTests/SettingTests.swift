import Testing

@testable import ClusterConfiguration

struct SettingTests {
    @Test func namesAreUnique() {
        let names = Setting.all.map(\.name)
        #expect(Set(names).count == names.count)
        let variables = Setting.all.compactMap(\.variable)
        #expect(Set(variables).count == variables.count)
    }

    /// Of none a default that its own check would refuse.
    @Test func defaultsAreValues() {
        for setting in Setting.all {
            switch setting.kind {
            case .workers, .file: continue
            default:
                let value = setting.kind.value(of: setting.standard)
                #expect(value == setting.standardValue, "\(setting.name)")
            }
        }
    }

    @Test(arguments: ConfigurationReference.allCases) func theReferenceTellsEverySetting(
        format: ConfigurationReference
    ) {
        for setting in Setting.all {
            guard format != .environment || !setting.readers.isEmpty else { continue }
            let words = format.text.split(whereSeparator: \.isWhitespace)
            let help = setting.help.split(separator: " ")
            #expect(words.firstRange(of: help) != nil, "\(setting.name)")
        }
    }
}
