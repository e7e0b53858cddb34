package import TraceModel

/// What the replicated log says, as far as its messages were applied in the order of their positions. Only the headers
/// and sizes; what to do with the bytes is the result of `apply`.
package struct ReplicaContent: Equatable, Sendable {
    /// What a message means for who copies the log.
    package enum Change: Equatable, Sendable {
        /// Nothing: a former owner sent it after a takeover.
        case ignored
        /// An owner begins an epoch: what was read from the header's LSN on is cut off.
        case takeover
        /// The bytes follow.
        case range
    }

    /// Position of the next message to be applied.
    package private(set) var next: ReplicaPosition
    /// Epoch of the newest owner; 0 if there was none.
    package private(set) var epoch: UInt64 = 0
    /// The newest owner, where its takeover was read.
    package private(set) var owner: ReplicaOwner?
    /// The LSNs of the bytes that were read.
    package private(set) var begin: LSN = 0
    package private(set) var end: LSN = 0

    /// Begins before the first message that is stored.
    package init(from next: ReplicaPosition = 1) { self.next = next }

    /// Applies the message at `next`.
    package mutating func apply(_ header: ReplicaHeader, byteCount: Int) -> Change {
        defer { next += 1 }
        let isFirst = epoch == 0
        guard header.epoch >= epoch, header.owner == nil || header.epoch > epoch else {
            return .ignored
        }
        if header.epoch > epoch {
            epoch = header.epoch
            owner = header.owner
        }
        begin = isFirst ? header.lsn : min(begin, header.lsn)
        end = header.lsn + LSN(byteCount)
        return header.owner == nil ? .range : .takeover
    }
}

/// What a router has to do before it takes over, so that its log and the replicated one are the same.
///
/// A takeover by this data directory is stored only after its disk had all that was before it. So if the last one is its
/// own, one of both logs is the beginning of the other.
package enum ReplicaReconciliation: Equatable, Sendable {
    /// Nothing.
    case same
    /// Append what only the router's disk has, from this LSN on, after the takeover.
    case publish(from: LSN)
    /// Copy what only the replica has, from this LSN on.
    case download(from: LSN)
    /// Another data directory has owned the log, or what follows on this disk is not in the replica any more: set this one
    /// aside, and copy all that the replica has.
    case restore
    /// Something is missing. A person has to decide.
    case refuse(String)

    /// Compares.
    /// - Parameters:
    ///   - local: The log on the router's disk.
    ///   - epoch: The epoch of the replica with which the disk agreed last, or that the data directory has owned since; nil if
    ///     there was none.
    package init(local: Range<LSN>, epoch: UInt64?, directory: UInt64, content: ReplicaContent) {
        if content.epoch < epoch ?? 0 {
            self = .refuse(
                "the replica has epoch \(content.epoch), and the log on this disk agreed with epoch \(epoch ?? 0):"
                    + " messages were lost there, or it is another stream"
            )
        } else if content.epoch == 0 {
            self = local.isEmpty ? .same : .publish(from: local.lowerBound)
        } else if content.owner?.directory != directory || content.begin > local.upperBound {
            self = .restore
        } else if content.end > local.upperBound {
            self = .download(from: local.upperBound)
        } else if content.end < local.upperBound {
            self =
                local.lowerBound <= content.end
                ? .publish(from: content.end)
                : .refuse(
                    "the log on this disk begins at LSN \(local.lowerBound), and the replica ends at \(content.end)"
                )
        } else {
            self = .same
        }
    }
}
