import ArgumentParser
import OperatorTools
import TraceModel

extension HostPort: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension TimeSpan: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    public var defaultValueDescription: String { "\(seconds)s" }
}

extension StartTime: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension TimeBound: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension Resource: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }

    public static var allValueStrings: [String] { allCases.map(\.name) }

    static var nameList: String { allCases.map(\.name).joined(separator: ", ") }
}

extension Semantics: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }

    public static var allValueStrings: [String] { allCases.map(\.name) }

    public var defaultValueDescription: String { name }
}

extension CatRun.Format: ExpressibleByArgument {}
extension CSVColumns: ExpressibleByArgument {}
