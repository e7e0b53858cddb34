import SystemIO

/// The files that one output becomes: each is complete and synced under its temporary name before the next one begins.
final class OutputParts {
    private let merger: WindowMerger
    private let target: (Int) -> String
    private let bytesMax: Int
    private var finished: [MergeManifest.Output] = []
    /// Of the open file.
    @exclusivity(unchecked) private(set) var writer: MergeWriter

    /// `target`: the final path of a part, from 1.
    init(_ merger: WindowMerger, target: @escaping (Int) -> String) throws {
        self.merger = merger
        self.target = target
        bytesMax = merger.budget.finalFileBytesMax
        writer = try merger.writer(of: target(1))
    }

    /// The open file's, from 1.
    var number: Int { finished.count + 1 }

    /// Whether the open file has room for so many bytes more.
    func holds(_ count: Int) -> Bool { writer.textCount + count <= bytesMax }

    /// Ends the open file and begins the next one. Blocks.
    func next() throws {
        try finish()
        writer = try merger.writer(of: target(number))
    }

    /// Runs `body`, which writes all parts; returns them. Leaves nothing behind where that throws. Blocks.
    func written(_ body: () throws -> Void) throws -> [MergeManifest.Output] {
        do {
            try body()
            try finish()
            return finished
        } catch {
            merger.removeTemporaries(finished)
            try? FileSystem.remove(writer.path)
            throw error
        }
    }

    private func finish() throws {
        try writer.finish()
        let path = target(number)
        finished.append(MergeManifest.Output(source: OutputNames.temporary(path), target: path, bytes: writer.count))
    }
}
