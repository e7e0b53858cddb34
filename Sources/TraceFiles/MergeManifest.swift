import SystemIO
import TraceModel

/// What a merge is about to rename and remove, synced before the first rename, so that a redo after a crash needs
/// nothing else. Lines of text; the last one is a checksum of those before (FNV-1a: any one bad byte shows).
struct MergeManifest: Equatable {
    struct Output: Equatable {
        /// A temporary file, or the one segment that becomes the output.
        var source: String
        var target: String
        var bytes: Int
    }

    static let directory = "\(ClusterPaths.output)/.merge"
    private static let title = "trace-merge 1"

    var outputs: [Output] = []
    var segments: [String] = []
    /// Everything has been renamed and synced; only segments may be left to remove.
    var isDone = false

    static func path(_ resource: Resource, window: UInt64) -> String {
        "\(directory)/\(resource.name)_\(window)"
    }

    init() {}

    /// Replaces the manifest in one step. Blocks.
    func publish(to path: String) throws(SystemError) {
        var text = Self.title + "\n"
        for output in outputs {
            text += "output \(output.source) \(output.target) \(output.bytes)\n"
        }
        for segment in segments { text += "segment \(segment)\n" }
        text += isDone ? "done\n" : "renaming\n"
        text += "checksum \(Self.checksum(text))\n"
        var buffer = RawBuffer()
        buffer.append(text)
        try FileSystem.publish(path, buffer.bytes)
    }

    /// Reads a manifest; nil where there is none. Throws `corrupt` where a byte is bad.
    init?(contentsOf path: String) throws {
        guard FileSystem.exists(path) else { return nil }
        let text = String(decoding: try FileSystem.contents(path), as: UTF8.self)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.popLast() == "", let sum = lines.popLast(),
            sum == "checksum \(Self.checksum(lines.map { $0 + "\n" }.joined()))",
            lines.first == Substring(Self.title)
        else { throw Self.damaged(path) }
        for line in lines.dropFirst() {
            // Paths are made of safe names: no spaces.
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("output", 4):
                guard let bytes = Int(words[3]) else { throw Self.damaged(path) }
                outputs.append(Output(source: words[1], target: words[2], bytes: bytes))
            case ("segment", 2): segments.append(words[1])
            case ("renaming", 1): isDone = false
            case ("done", 1): isDone = true
            default: throw Self.damaged(path)
            }
        }
    }

    private static func checksum(_ text: String) -> String {
        var copy = text
        return copy.withUTF8 { String(Slot.hash(host: UnsafeRawBufferPointer($0)), radix: 16) }
    }

    private static func damaged(_ path: String) -> TraceError {
        TraceError(
            .corrupt,
            "the merge manifest \(path) is damaged",
            remedy: "Remove it to merge the window again from its segments, where they still exist"
        )
    }
}
