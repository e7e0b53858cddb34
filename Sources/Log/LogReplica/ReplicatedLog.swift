package import TraceModel

// The replicated log
// ==================
//
// A copy of the ingest log on other machines: a sequence of messages at positions 1, 2, 3, … without gaps, of which the
// oldest may have been removed. A message is one of two kinds:
//
//   range      bytes of the ingest log from `lsn` on, sealed, exactly as they are on the disk of the router; its ends
//              need not be those of records
//   takeover   an owner begins an epoch, and keeps what is below `lsn`: that ends with a whole group. It has no bytes
//
// Reading: messages are applied in the order of their positions (`ReplicaContent`). One with a lower epoch than the last
// takeover's was sent by an owner that did not yet know that it had lost the log, and is ignored. What was read from the
// LSN of a takeover on is cut off: it is half a group, or one of which the new owner's disk knows nothing.
//
// Writing: a message is appended only at the position after the last one, so two writers cannot both append. An owner
// has up to `messagesInFlightMax` messages under way, and its bytes are safe as far as all messages up to there are
// stored. Where it does not learn what became of a message, it sends the same one again at the same position before
// anything else.
//
// Whether a former owner's messages can still arrive: it had at most `messagesInFlightMax` of them under way, and the
// first of these positions has been taken by the takeover, or is before it. So they can only take that many positions
// from the takeover on, and for those the new owner sends one message at a time, and moves back by one where it finds
// such a message. This number is therefore part of the format: all versions that may share a log have to have the same.

/// The place of a message in the replicated log; the first one is 1.
package typealias ReplicaPosition = UInt64

/// What a message of the replicated log says beside its bytes.
package struct ReplicaHeader: Equatable, Sendable {
    /// Counts the owners, from 1 on.
    package let epoch: UInt64
    /// Of a range, the LSN of its first byte. Of a takeover, the end of what the owner keeps.
    package let lsn: LSN
    /// The new owner; nil in a range.
    package let owner: ReplicaOwner?

    package init(epoch: UInt64, lsn: LSN, owner: ReplicaOwner? = nil) {
        self.epoch = epoch
        self.lsn = lsn
        self.owner = owner
    }

    /// Identifies the message where it is sent again. The owner makes it unique while several compete for an epoch.
    package var messageID: String {
        owner.map { "\(epoch).\($0.directory).\($0.start)" } ?? "\(epoch).\(lsn)"
    }
}

/// An owner of the replicated log: one run of one router.
package struct ReplicaOwner: Equatable, Sendable {
    /// Random number of the data directory.
    package let directory: UInt64
    /// Counts the starts of the data directory's router.
    package let start: UInt64

    package init(directory: UInt64, start: UInt64) {
        self.directory = directory
        self.start = start
    }
}

/// A message as it was stored.
package struct ReplicaMessage: Equatable, Sendable {
    package let position: ReplicaPosition
    package let header: ReplicaHeader
    package let bytes: [UInt8]

    package init(position: ReplicaPosition, header: ReplicaHeader, bytes: [UInt8]) {
        self.position = position
        self.header = header
        self.bytes = bytes
    }
}

/// The positions of the messages that are stored: `first` to `last`; `last` is `first` − 1 if there are none.
package struct ReplicaSpan: Equatable, Sendable {
    package let first: ReplicaPosition
    package let last: ReplicaPosition

    package init(first: ReplicaPosition, last: ReplicaPosition) {
        self.first = first
        self.last = last
    }
}

/// What became of a message.
package enum AppendOutcome: Equatable, Sendable {
    /// A quorum has it on its disks, at this position.
    case stored(ReplicaPosition)
    /// The last position is not the one before. This attempt was not stored; an earlier one of the same message may be.
    case refused
    /// Nothing is known; the text says why.
    case unknown(String)
}

/// What a replica cannot do, and whether it helps to try again.
package enum ReplicaError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No answer from a quorum at this time.
    case unavailable(String)
    /// Servers, stream or messages are not as they have to be; a person has to change that.
    case unsuitable(String, remedy: String)

    package var description: String {
        switch self {
        case .unavailable(let text): text
        case .unsuitable(let text, let remedy): "\(text). \(remedy)"
        }
    }
}

/// Four operations of a log that a quorum of other machines stores: append at a position, read, remove the oldest, and
/// fence, which is to append a takeover. One thread at a time.
package protocol ReplicatedLog: AnyObject {
    /// Size of the largest range that one message can have.
    var rangeBytesMax: Int { get }

    /// Sends a message for a position. Its outcome is reported by `outcome` with the same ticket, at any time or never.
    /// The bytes are copied. Blocks at most for a send to a socket.
    func append(
        _ header: ReplicaHeader,
        _ bytes: UnsafeRawBufferPointer,
        at position: ReplicaPosition,
        ticket: UInt64
    )

    /// Returns the next outcome; nil if there is none for `milliseconds`. Blocks.
    func outcome(milliseconds: Int64) -> (ticket: UInt64, outcome: AppendOutcome)?

    /// Returns which positions are stored. May be out of date. Blocks.
    func span() throws(ReplicaError) -> ReplicaSpan

    /// Returns the message at a position; nil if it was removed, or is not known to the server that answers. Blocks.
    func read(_ position: ReplicaPosition) throws(ReplicaError) -> ReplicaMessage?

    /// Removes the messages below a position. Blocks.
    func trim(below position: ReplicaPosition) throws(ReplicaError)
}
