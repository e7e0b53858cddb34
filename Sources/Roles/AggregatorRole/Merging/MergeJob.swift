import ClusterMessages
import SystemIO
import TraceFiles
import TraceModel

/// A window that every slot has announced to its end.
struct MergeJob: Sendable, Equatable {
    /// What was done about damaged segments.
    struct Repair: Sendable, Equatable {
        /// Segments of one worker's output that were made again.
        struct Rebuilt: Sendable, Equatable {
            let window: WorkerWindow
            /// How many were damaged.
            let segments: Int
            /// Of the whole output.
            let rows: UInt64
        }

        /// What is merged: all that was announced, with rebuilt outputs in the place of damaged ones.
        var files: [ClosedFile]
        /// Segments in whose place there are others.
        var replaced: [String] = []
        var rebuilt: [Rebuilt] = []
        /// Why a damaged segment could not be made again, by its path.
        var reasons: [String: String] = [:]
    }

    let resource: Resource
    let window: UInt64
    let barrierLSN: LSN
    let stem: String
    /// By worker and window: also those of windows before, where their barriers were lost with a part of the log.
    let announcements: [SegmentsClosed]
    /// Nil before damage has been found: it is reported then. Else what is still damaged is set aside.
    var repair: Repair?

    /// From where to where the window's records lie in the log.
    var range: Range<LSN> {
        let begin = announcements.flatMap(\.slots).map(\.fromLSN).min() ?? barrierLSN
        return min(begin, barrierLSN)..<barrierLSN
    }

    /// What the workers have announced.
    /// - Throws: `TraceError(.corrupt)`.
    func announcedFiles() throws(TraceError) -> [ClosedFile] {
        var files: [ClosedFile] = []
        for announcement in announcements where !announcement.files.isEmpty {
            var buffer = RawBuffer()
            announcement.files.withUnsafeBytes { buffer.append($0) }
            files += try ClosedFile.decode(ByteView(buffer.bytes))
        }
        return files
    }
}
