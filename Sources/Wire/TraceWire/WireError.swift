package import TraceModel

/// Errors in protobuf bytes, and limits on their contents. Trivial, so that throwing one costs the hot path only a
/// branch.
package enum WireProblem: Error, Sendable {
    /// A tag, varint, fixed-size field or length that exceeds the end of its message.
    case truncated
    /// A varint above 10 bytes or 64 bits, or a tag or length above 5 bytes.
    case varintTooLong
    /// Field number 0 or above 2^29 - 1.
    case fieldNumberInvalid
    /// Wire types 3 and 4 (groups, not in proto3), 6 and 7 (undefined).
    case wireTypeUnsupported
    /// A known field with a wrong wire type. Refused as by protobuf-c (other libraries treat it as an unknown field);
    /// no client's encoder writes it.
    case wireTypeMismatch
    /// A string above its limit.
    case stringTooLong
    /// More `Anomaly` messages in one event than `Limits.eventAnomaliesMax`.
    case tooManyAnomalies
    /// More `Name` messages in one batch than `Limits.batchNamesMax`.
    case tooManyNames
    /// An unknown value of an enum that the server has to understand.
    case valueUnknown
}

/// The reason why a batch is refused, for its sender: the field, the error, and the limit.
package struct WireError: Error, CustomStringConvertible, Sendable {
    /// Whether the bytes are invalid or too large.
    package enum Reason: String, Sendable {
        /// The bytes are not a `TraceBatch`.
        case malformed
        /// They exceed one of `Limits`.
        case limit
    }

    package let reason: Reason
    package let description: String

    init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }

    /// The same as `TraceError`; answered with `INVALID_ARGUMENT`.
    package var traceError: TraceError { TraceError(.invalidArgument, description) }

    /// An error at `path`; `value` is the measured size if a limit is exceeded.
    init(_ problem: WireProblem, at path: String, value: Int = 0, limit: Int = 0) {
        switch problem {
        case .truncated: self.init(.malformed, "\(path): cut off")
        case .varintTooLong: self.init(.malformed, "\(path): overlong varint")
        case .fieldNumberInvalid: self.init(.malformed, "\(path): invalid field number")
        case .wireTypeUnsupported: self.init(.malformed, "\(path): unsupported wire type")
        case .wireTypeMismatch: self.init(.malformed, "\(path): wrong wire type")
        case .stringTooLong: self.init(.limit, "\(path): \(value) bytes, limit \(limit)")
        case .tooManyAnomalies: self.init(.limit, "\(path): \(value) messages, limit \(limit)")
        case .tooManyNames:
            self.init(.limit, "\(path): too many messages, limit \(Limits.batchNamesMax)")
        case .valueUnknown: self.init(.malformed, "\(path): no known value")
        }
    }

    /// An error in the batch's own fields, or in the length of its next event.
    init(_ problem: WireProblem, atBatchField field: UInt32, after summary: BatchSummary) {
        var path = WireNames.batchField(field)
        if let resource = Resource(batchField: field) { path += "[\(summary.count(of: resource))]" }
        self.init(problem, at: path)
    }

    /// An error at the position of a walk through event `index` of its resource.
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
