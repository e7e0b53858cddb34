import ClusterMessages
import SystemIO
import TraceFiles
import TraceModel

/// A window to merge: every slot's events are announced up to its barrier.
struct MergeJob: Sendable, Equatable {
    /// Results of rebuilding damaged segments.
    struct Repair: Sendable, Equatable {
        /// A worker's output with damaged segments that was rebuilt.
        struct Rebuilt: Sendable, Equatable {
            let window: WorkerWindow
            /// Number of damaged segments.
            let segments: Int
            /// Rows of the whole output.
            let rows: UInt64
        }

        /// The files to merge: all announced ones, with rebuilt outputs in place of damaged ones.
        var files: [ClosedFile]
        /// Paths of the segments that rebuilt ones replace.
        var replaced: [String] = []
        var rebuilt: [Rebuilt] = []
        /// Why a damaged segment could not be rebuilt, by its path.
        var reasons: [String: String] = [:]
    }

    let resource: Resource
    let window: UInt64
    let barrierLSN: LSN
    let stem: String
    /// Announcements by worker and window. Includes those of earlier windows whose barriers were lost with a part
    /// of the log.
    let announcements: [SegmentsClosed]
    /// Nil at the first attempt, which reports damage. Otherwise, segments that are still damaged are set aside.
    var repair: Repair?

    /// The LSN range of the window's records.
    var range: Range<LSN> {
        let begin = announcements.flatMap(\.slots).map(\.fromLSN).min() ?? barrierLSN
        return min(begin, barrierLSN)..<barrierLSN
    }

    /// Decodes the files that the workers announced.
    /// - Throws: `TraceError(.corrupt)`.
    func announcedFiles() throws(TraceError) -> [ClosedFile] {
        var files: [ClosedFile] = []
        for announcement in announcements where !announcement.files.isEmpty {
            var buffer = RawBuffer()
            unsafe announcement.files.withUnsafeBytes { unsafe buffer.append($0) }
            unsafe files += try ClosedFile.decode(ByteView(buffer.bytes))
        }
        return files
    }
}
