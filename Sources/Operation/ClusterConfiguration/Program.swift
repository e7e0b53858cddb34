/// A program that a cluster runs.
package enum Program: String, CaseIterable, Sendable {
    case router
    case worker
    case aggregator

    package var name: String { "trace-\(rawValue)" }
}
