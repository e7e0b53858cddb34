import SystemIO
package import TraceModel

/// Which events of a resource's final files are wanted.
package struct TraceSelection: Sendable, Equatable {
    package var resource: Resource
    /// Inclusive, nanoseconds since the epoch; nil: without a bound.
    package var from: EpochNanoseconds?
    package var to: EpochNanoseconds?
    package var pid: UInt32?
    /// The host's name as its agents sent it; nil: of all hosts.
    package var host: String?

    package init(
        resource: Resource, from: EpochNanoseconds? = nil, to: EpochNanoseconds? = nil, pid: UInt32? = nil,
        host: String? = nil
    ) {
        self.resource = resource
        self.from = from
        self.to = to
        self.pid = pid
        self.host = host
    }

    /// What of it a row decides by itself.
    var rows: RowSelection { RowSelection(from: from, to: to, pid: pid, host: host) }
}

/// Which rows of some final files are wanted.
struct RowSelection {
    /// Inclusive, nanoseconds since the epoch; nil: without a bound.
    let from: EpochNanoseconds?
    let to: EpochNanoseconds?
    let pid: UInt32?
    /// The host's name as its agents sent it; nil: of all hosts.
    let host: String?

    func holds(ts: EpochNanoseconds, pid: UInt32) -> Bool {
        if let from, ts < from { return false }
        if let to, ts > to { return false }
        return holds(pid: pid)
    }

    func holds(pid: UInt32) -> Bool { self.pid.map { $0 == pid } ?? true }

    /// The texts that stand for the host in files of that kind; nil where all hosts are wanted.
    func hostTexts(_ kind: FinalFile.Kind) -> [[UInt8]]? {
        guard var name = host else { return nil }
        return name.withUTF8 { bytes in
            let view = ByteView(UnsafeRawBufferPointer(bytes))
            var text = RawBuffer()
            guard kind == .csv else {
                text.appendJSONString(view)
                return [Array(text.bytes)]
            }
            // Whether the table guards against formulas is not said in it.
            return [false, true].map { isGuarded in
                text.removeAll()
                text.appendCSVField(view, guardsFormulas: isGuarded)
                return Array(text.bytes)
            }
        }
    }
}
