import SystemIO
package import TraceModel

/// The records of final windows, and what they name: `output/.merge/final/<seconds>_<resource>_<window>` is the
/// manifest of a window's merge, kept after it, so that what is deleted is what was written. Blocks.
package struct FinalWindowRecords: Sendable {
    /// What a removal took away.
    package struct Removal: Sendable, Equatable {
        package var files = 0
        package var bytes: UInt64 = 0
    }

    private static let directory = "\(MergeManifest.directory)/final"
    private let root: String

    /// `root` is the data directory, empty where it is the current one.
    package init(root: String = "") { self.root = root }

    /// All windows there are records of, the oldest first.
    package func list() throws -> [FinalWindow] {
        // Names sort by time: those of a record begin with it, in a fixed width.
        try FileSystem.list(absolute(Self.directory)).compactMap { FinalWindow(recordName: $0) }
    }

    /// Makes the manifest of a merge that needs no redo the window's record. Without a manifest (a window
    /// without events) nothing happens. A power loss may undo it; `addMerged` does it again.
    package func add(_ window: FinalWindow) throws {
        let manifest = absolute(MergeManifest.path(window.resource, window: window.window))
        guard FileSystem.exists(manifest) else { return }
        try FileSystem.createDirectory(absolute(Self.directory))
        // A copy without the other one would be taken for one that is left.
        try FileSystem.remove(MergeManifest.mirror(of: manifest))
        try FileSystem.rename(manifest, to: path(window))
    }

    /// As `add`, for the windows up to the last merged one of each resource, which a crash has left.
    package func addMerged(upTo marks: [Resource: UInt64], at seconds: Int64) throws {
        for name in try FileSystem.list(absolute(MergeManifest.directory)) {
            let parts = name.split(separator: "_", omittingEmptySubsequences: false)
            guard parts.count == 2, let resource = Resource(name: String(parts[0])), let window = UInt64(parts[1]),
                let last = marks[resource], window <= last
            else { continue }
            try add(FinalWindow(resource: resource, window: window, finalAt: seconds))
        }
    }

    /// The window's final files, relative to the data directory. Throws `corrupt` where the record is damaged.
    package func files(of window: FinalWindow) throws -> [String] {
        try MergeManifest(contentsOf: path(window))?.outputs.map(\.target) ?? []
    }

    /// Bytes of the window's files that still stand as they were written; others are not ours any more.
    /// Throws `corrupt` where the record is damaged.
    package func bytes(of window: FinalWindow) throws -> UInt64 {
        try standing(window).reduce(0) { $0 + UInt64($1.bytes) }
    }

    /// Removes the window's files, then its record: what a crash interrupts is done again. Files that are gone,
    /// or not of the length they were written with, are left alone. Throws `corrupt` where the record is damaged.
    package func remove(_ window: FinalWindow) throws -> Removal {
        var removal = Removal()
        let files = try standing(window)
        for file in files {
            try FileSystem.remove(absolute(file.target))
            removal.files += 1
            removal.bytes += UInt64(file.bytes)
        }
        for directory in Set(files.map { FileSystem.parent(of: $0.target) }) {
            try FileSystem.syncDirectory(absolute(directory))
        }
        try FileSystem.remove(path(window))
        return removal
    }

    private func standing(_ window: FinalWindow) throws -> [MergeManifest.Output] {
        guard let manifest = try MergeManifest(contentsOf: path(window)) else { return [] }
        return manifest.outputs.filter { FileSystem.size(absolute($0.target)) == $0.bytes }
    }

    private func path(_ window: FinalWindow) -> String { absolute("\(Self.directory)/\(window.recordName)") }

    private func absolute(_ path: String) -> String { root.isEmpty ? path : "\(root)/\(path)" }
}
