package import TraceModel

/// All that is wrong with a configuration.
package struct ConfigurationProblems: Error, Sendable {
    package let problems: [TraceError]
}
