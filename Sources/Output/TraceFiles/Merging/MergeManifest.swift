import SystemIO
import TraceModel

/// The renames and removals that a merge is about to perform. Synced before the first rename, so that recovery after a
/// crash needs nothing else. Lines of text; the last one is an FNV-1a checksum of the others, which detects any single
/// bad byte. There are two copies, `PATH` and `PATH.mirror`, replaced in this order, until the window is recorded as
/// merged.
struct MergeManifest: Equatable {
    /// A file to be published: renamed from `source` to `target`.
    struct Output: Equatable {
        /// A temporary file, or the only segment if it becomes the output.
        var source: String
        var target: String
        var bytes: Int
    }

    static let directory = "\(ClusterPaths.output)/.merge"
    private static let title = "trace-merge 1"

    var outputs: [Output] = []
    var segments: [String] = []
    /// Damaged segments, whose rows are missing in the outputs.
    var losses: [SegmentLoss] = []
    /// Whether everything has been renamed and synced, so that only segments may remain to be removed.
    var isDone = false

    static func path(_ resource: Resource, window: UInt64) -> String {
        "\(directory)/\(resource.name)_\(window)"
    }

    init() {}

    /// The path of a manifest's second copy.
    static func mirror(of path: String) -> String { path + ".mirror" }

    /// Replaces both copies of the manifest, each atomically. Blocks.
    func publish(to path: String) throws(SystemError) {
        var text = Self.title + "\n"
        for output in outputs {
            text += "output \(output.source) \(output.target) \(output.bytes)\n"
        }
        for segment in segments { text += "segment \(segment)\n" }
        for loss in losses {
            text += "lost \(loss.path) \(loss.rows) \(loss.bytes) \(loss.keptAt ?? "-")\n"
        }
        text += isDone ? "done\n" : "renaming\n"
        text += "checksum \(Self.checksum(text))\n"
        var buffer = RawBuffer()
        buffer.append(text)
        try unsafe FileSystem.publish(path, buffer.bytes)
        try unsafe FileSystem.publish(Self.mirror(of: path), buffer.bytes)
    }

    /// Reads a manifest, from the mirror if the first copy is damaged. Nil if there is none. Throws `corrupt` if no
    /// copy is intact.
    init?(contentsOf path: String) throws {
        let mirror = Self.mirror(of: path)
        do {
            guard let manifest = try Self(copy: path) ?? Self(copy: mirror) else { return nil }
            self = manifest
        } catch let error where RunCheck.isDamage(error) {
            guard let manifest = try? Self(copy: mirror) else { throw error }
            self = manifest
        }
    }

    /// The manifest of a merge that has begun, as `init(contentsOf:)`. Nil also where its only copy is damaged and all
    /// `segments` are there: the second copy is written before anything is renamed, so the merge can begin anew.
    static func begun(at path: String, segments: [String]) throws -> MergeManifest? {
        do { return try MergeManifest(contentsOf: path) } catch let error
            where RunCheck.isDamage(error) && !FileSystem.exists(mirror(of: path))
            && !segments.isEmpty
            && segments.allSatisfy(FileSystem.exists)
        { return nil }
    }

    private init?(copy path: String) throws {
        guard FileSystem.exists(path) else { return nil }
        let text = String(decoding: try FileSystem.contents(path), as: UTF8.self)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.popLast() == "", let sum = lines.popLast(),
            sum == "checksum \(Self.checksum(lines.map { $0 + "\n" }.joined()))",
            lines.first == Substring(Self.title)
        else { throw Self.damaged(path) }
        for line in lines.dropFirst() {
            // Paths consist of safe names, so they contain no spaces.
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("output", 4):
                guard let bytes = Int(words[3]) else { throw Self.damaged(path) }
                outputs.append(Output(source: words[1], target: words[2], bytes: bytes))
            case ("segment", 2): segments.append(words[1])
            case ("lost", 5):
                guard let rows = UInt64(words[2]), let bytes = UInt64(words[3]) else {
                    throw Self.damaged(path)
                }
                let keptAt = words[4] == "-" ? nil : words[4]
                losses.append(SegmentLoss(path: words[1], rows: rows, bytes: bytes, keptAt: keptAt))
            case ("renaming", 1): isDone = false
            case ("done", 1): isDone = true
            default: throw Self.damaged(path)
            }
        }
    }

    private static func checksum(_ text: String) -> String {
        var copy = text
        return copy.withUTF8 {
            unsafe String(Slot.hash(host: UnsafeRawBufferPointer($0)), radix: 16)
        }
    }

    private static func damaged(_ path: String) -> TraceError {
        TraceError(
            .corrupt,
            "the merge manifest \(path) is damaged",
            remedy: "Remove it to merge the window again from its segments, where they still exist"
        )
    }
}
