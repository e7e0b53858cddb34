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
    @inlinable
    @inline(__always)
    package init?(batchField: UInt32) {
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
