package import TraceModel

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

/// Why a batch is refused, in words for its sender: the field, what is wrong, and the limit.
package struct WireError: Error, CustomStringConvertible, Sendable {
    package enum Reason: String, Sendable {
        /// The bytes are no `TraceBatch`.
        case malformed
        /// They are, but beyond one of `Limits`.
        case limit
    }

    package let reason: Reason
    package let description: String

    init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// As what the caller of a service gets: `INVALID_ARGUMENT`.
    package var traceError: TraceError { TraceError(.invalidArgument, description) }

    /// Something wrong at `path`; `value` is the measured size where a limit is passed.
    init(_ problem: WireProblem, at path: String, value: Int = 0, limit: Int = 0) {
        switch problem {
        case .truncated: self.init(.malformed, "\(path): cut off")
        case .varintTooLong: self.init(.malformed, "\(path): overlong varint")
        case .fieldNumberInvalid: self.init(.malformed, "\(path): invalid field number")
        case .wireTypeUnsupported: self.init(.malformed, "\(path): unsupported wire type")
        case .wireTypeMismatch: self.init(.malformed, "\(path): wrong wire type")
        case .stringTooLong: self.init(.limit, "\(path): \(value) bytes, limit \(limit)")
        case .tooManyAnomalies: self.init(.limit, "\(path): \(value) messages, limit \(limit)")
        case .tooManyNames: self.init(.limit, "\(path): too many messages, limit \(Limits.batchNamesMax)")
        case .valueUnknown: self.init(.malformed, "\(path): no known value")
        }
    }

    /// A problem in the batch's own fields, or with the length of its next event.
    init(_ problem: WireProblem, atBatchField field: UInt32, after summary: BatchSummary) {
        var path = WireNames.batchField(field)
        if let resource = Resource(batchField: field) { path += "[\(summary.count(of: resource))]" }
        self.init(problem, at: path)
    }

    /// A problem where a walk through the event `index` of its resource stopped.
    init(_ problem: WireProblem, in walk: EventWalk, index: Int) {
        var path = "\(WireNames.batchField(of: walk.resource))[\(index)]"
        if walk.field != 0 { path += ".\(WireNames.field(walk.field, of: walk.resource))" }
        if problem == .tooManyAnomalies {
            self.init(problem, at: path, value: walk.nestedCount, limit: Limits.eventAnomaliesMax)
            return
        }
        if let nestedField = walk.nestedField {
            if walk.resource != .gpu { path += "[\(walk.nestedCount - 1)]" }
            if nestedField != 0 {
                let name = WireNames.nestedField(nestedField, in: walk.field, of: walk.resource)
                path += ".\(name)"
            }
        }
        self.init(problem, at: path, value: walk.stringBytes, limit: Limits.stringFieldBytesMax)
    }
}
