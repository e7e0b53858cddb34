/// The status codes of gRPC, by their numbers on the wire.
package enum GRPCStatus: Int32, Sendable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    /// Makes a NeuTracer agent stop sending for good: a living server never answers it.
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16
}
