/// A kind of event, and so the processor for it. Raw values are stored in log records and checkpoints.
package enum Resource: UInt8, CaseIterable, Sendable, Hashable {
    case function = 0
    case cpu = 1
    case memory = 2
    case network = 3
    case io = 4
    case gpu = 5

    /// Name in file names, labels, and on the command line.
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

    /// The field of `TraceBatch` for this kind of event (Protos/tracer_service.proto).
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

    /// The resource of a field number in `TraceBatch`; nil for every other field.
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

    /// Resources whose events carry no process name, so that agents send names separately.
    package static let namedByAgents: [Resource] = [.function, .gpu]

    /// Number of resources.
    package static let count = 6
}

/// The meaning of an agent's fields: one of two dialects of the wire contract. Raw values are those of
/// `TraceBatch.semantics` and are stored in log records.
///
/// Only decoding and the normalisers of `TraceProcessing` depend on it; everything after them sees one form.
package enum Semantics: UInt8, Sendable, CaseIterable {
    /// The NeuTracer C++ agent's: sampled events, differences since the previous event, MiB/s, fractions.
    case neutracer = 1
    /// All events, running totals, bytes per second, percentages.
    case cumulative = 2

    /// Name in settings and options.
    package var name: String {
        switch self {
        case .neutracer: "neutracer"
        case .cumulative: "cumulative"
        }
    }

    /// - Returns: nil if no dialect has this name.
    package init?(name: String) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }
}

/// The columns of the tables in final files.
package enum CSVColumns: String, CaseIterable, Sendable {
    /// The columns of the original server, followed by additional ones.
    case all
    /// Only the columns of the original server. All their fields are numbers, as its detectors expect.
    case original

    /// Returns the number of a table's first columns that the original server's table has too. Nil if the original
    /// has no such table.
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
