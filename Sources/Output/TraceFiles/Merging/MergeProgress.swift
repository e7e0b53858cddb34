package import TraceModel

/// The progress of a merge, in bytes of segments.
package struct MergeProgress: Sendable, Equatable {
    package var bytesDone: UInt64 = 0
    package var bytesTotal: UInt64

    package init(bytesTotal: UInt64) { self.bytesTotal = bytesTotal }
}

/// A completed step of a merge. Tests interrupt it there.
enum MergeStep: Equatable {
    case prepared(kind: OutputKind, host: String)
    case manifestSynced
    case renamed(target: String)
    case directoriesSynced
    case markedDone
    case removed(segment: String)
}

/// A small file that is published together with a window's outputs.
package struct WindowDocument: Sendable, Equatable {
    /// Relative to the data directory; consists of safe names.
    package let path: String
    package let bytes: [UInt8]
    /// The times of the window's first and last event, where they are known.
    package let span: ClosedRange<EpochNanoseconds>?

    package init(path: String, bytes: [UInt8], span: ClosedRange<EpochNanoseconds>? = nil) {
        self.path = path
        self.bytes = bytes
        self.span = span
    }
}
