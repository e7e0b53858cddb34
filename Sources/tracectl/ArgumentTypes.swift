import ArgumentParser
import OperatorTools

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
