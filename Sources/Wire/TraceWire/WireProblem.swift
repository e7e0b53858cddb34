/// What can be wrong with protobuf bytes, apart from our own limits. Trivial, so that throwing it
/// costs the hot path a branch.
package enum WireProblem: Error, Sendable {
    /// A tag, a varint, a fixed field, or a length that points past the end of its message.
    case truncated
    /// A varint above 10 bytes or 64 bits, a tag or length above 5 bytes.
    case varintTooLong
    /// Field number 0 or above 2^29 - 1.
    case fieldNumberInvalid
    /// Wire types 3 and 4 (groups, not in proto3), 6 and 7 (undefined).
    case wireTypeUnsupported
    /// A known field with another wire type than its own. protobuf-c refuses that (other libraries
    /// take it for an unknown field), and so do we: no client's encoder writes it.
    case wireTypeMismatch
    /// A string beyond its limit.
    case stringTooLong
    /// More `Anomaly` messages in one event than `Limits.eventAnomaliesMax`.
    case tooManyAnomalies
    /// More `Name` messages in one batch than `Limits.batchNamesMax`.
    case tooManyNames
    /// An enum's value that this server does not know, where it must.
    case valueUnknown
}
