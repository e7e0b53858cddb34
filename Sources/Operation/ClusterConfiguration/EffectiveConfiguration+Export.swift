extension EffectiveConfiguration {
    /// The options of a program that follow from the settings.
    package func arguments(of program: Program) -> [String] {
        entries.filter { $0.setting.readers.contains(program) }.flatMap { entry in
            switch entry.value {
            case .isOn(false), .number(0), .text("off"): [] as [String]
            case .isOn(true): [entry.setting.flag]
            case .number, .text: [entry.setting.flag, "\(entry.value)"]
            }
        }
    }

    /// For `scripts/cluster`: lines of NAME=VALUE. `grpc`, `metrics`, `workers`; a program's name with its
    /// options, words without spaces; `remembered.` and a setting's name for what the next start is to go
    /// on with. The numbers of workers are not among the latter: the script knows where the slots are.
    package var exported: String {
        var lines = ["grpc=\(self["grpc"])", "metrics=\(self["metrics"])", "workers=\(workers)"]
        for program in Program.allCases {
            let words = arguments(of: program).joined(separator: " ")
            lines.append("\(program.rawValue)=\(words)")
        }
        for entry in entries where entry.key == entry.setting.name && entry.source.isRemembered {
            lines.append("remembered.\(entry.key)=\(entry.value)")
        }
        return lines.joined(separator: "\n")
    }
}
