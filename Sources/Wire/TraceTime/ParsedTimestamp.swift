package import TraceModel

/// The instant of an event.
package struct ParsedTimestamp: Sendable, Equatable {
    package enum Kind: UInt8, Sendable {
        /// As the agent sent it.
        case valid
        /// It sent none: the time of arrival.
        case absent
        /// It sent something else: the time of arrival, and to be counted.
        case invalid
    }

    package let nanoseconds: EpochNanoseconds
    package let kind: Kind

    package init(nanoseconds: EpochNanoseconds, kind: Kind) {
        self.nanoseconds = nanoseconds
        self.kind = kind
    }
}
