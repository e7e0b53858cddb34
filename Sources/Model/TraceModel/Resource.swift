/// A kind of event, and so the processor it goes to. Raw values stand in log records and checkpoints.
package enum Resource: UInt8, CaseIterable, Sendable, Hashable {
    case function = 0
    case cpu = 1
    case memory = 2
    case network = 3
    case io = 4
    case gpu = 5

    /// The name in file names, labels, and on the command line.
    package var name: String {
        switch self {
        case .function: "function"
        case .cpu: "cpu"
        case .memory: "memory"
        case .network: "network"
        case .io: "io"
        case .gpu: "gpu"
        }
    }

    package init?(name: String) {
        guard let match = Resource.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }

    /// The field of `TraceBatch` that holds this kind of event (Protos/tracer_service.proto).
    package var batchField: UInt32 {
        switch self {
        case .function: 1
        case .gpu: 2
        case .cpu: 3
        case .memory: 4
        case .network: 5
        case .io: 6
        }
    }

    /// The resource by its field number in `TraceBatch`, nil for every other field.
    @inlinable @inline(__always) package init?(batchField: UInt32) {
        switch batchField {
        case 1: self = .function
        case 2: self = .gpu
        case 3: self = .cpu
        case 4: self = .memory
        case 5: self = .network
        case 6: self = .io
        default: return nil
        }
    }

    /// Those whose events carry no name of their process, so that agents send names beside them.
    package static let namedByAgents: [Resource] = [.function, .gpu]

    /// How many resources there are.
    package static let count = 6
}

/// What an agent's fields mean: one of two dialects of the wire contract. Raw values are those of the field
/// `TraceBatch.semantics` and stand in log records.
///
/// Only decoding and the normalisers of `TraceProcessing` look at it; everything behind them sees one form.
package enum Semantics: UInt8, Sendable, CaseIterable {
    /// As the NeuTracer C++ agent sends: sampled events, differences since the previous event, MiB/s, fractions.
    case neutracer = 1
    /// All events, running totals, bytes a second, percentages.
    case cumulative = 2

    /// As settings and options name it.
    package var name: String {
        switch self {
        case .neutracer: "neutracer"
        case .cumulative: "cumulative"
        }
    }

    /// - Returns: nil where no dialect has this name.
    package init?(name: String) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }
}

/// Which columns the tables of final files have.
package enum CSVColumns: String, CaseIterable, Sendable {
    /// Those of the original server, then ours.
    case all
    /// Only those of the original server. Each of their fields is a number, as its detectors read them.
    case original

    /// Returns how many of a table's first columns are those of the original server's table; nil where it has no such table.
    package static func originalCount(of resource: Resource) -> Int? {
        switch resource {
        case .function: 5
        case .cpu: 8
        case .memory: 5
        case .network: 7
        case .io: 8
        case .gpu: nil
        }
    }
}
