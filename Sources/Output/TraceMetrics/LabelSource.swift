/// Where a worker's series take a label from: what several series of one process share is told once.
enum LabelSource: UInt8, Sendable {
    case host
    case pid
    /// The name of the process.
    case process
    /// `pid-<n>`: what the original calls a process of which it knows no name.
    case pidText
    /// The function, kernel or kind of transfer that the series is about.
    case name
    /// A text of the series' own.
    case text

    /// The sources of a family's labels.
    static func sources(of family: MetricFamily, labels: [String]) -> [LabelSource] {
        labels.map { label in
            switch label {
            case "host": .host
            case "pid": .pid
            case "process": isFunction(family) ? .pidText : .process
            case "function", "kernel", "kernel_name", "kind_str": .name
            case "kind": labels.contains("pid") ? .name : .text
            default: .text
            }
        }
    }

    /// Events of functions carry no name of their process.
    private static func isFunction(_ family: MetricFamily) -> Bool {
        switch family {
        case .neutracerFunctionCallsTotal, .neutracerFunctionStats, .neutracerActiveFunctions,
            .neutracerFunctionDurationSeconds:
            true
        default: false
        }
    }
}
