package import SystemIO
package import TraceModel

// Result of a rebuild
// ===================
//
// `segments/.rebuild/<worker>.w<window>/result`, little-endian: CRC-32C of all that follows u32, kind u8 (1: a list of
// closed files as `ClosedFile.encode` writes it; 2: why there are none, UTF-8), the content. Written once the segments are on
// the disk.

/// What came of making a worker's segments of a window again.
package enum RebuiltSegments: Equatable, Sendable {
    /// The outputs of the window, all of them.
    case files([ClosedFile])
    /// They can't be made, as often as that is tried; why, in words.
    case impossible(String)

    /// The exit code of a process that has to be started again later: the disk is full, or another one is at it.
    package static let laterCode: Int32 = 75

    private static let filesKind: UInt8 = 1
    private static let reasonKind: UInt8 = 2

    private static func path(of window: WorkerWindow) -> String {
        "\(ClusterPaths.rebuild(of: window))/result"
    }

    /// Blocks until durable.
    package func publish(for window: WorkerWindow) throws(SystemError) {
        var content = RawBuffer()
        switch self {
        case .files(let files):
            content.append(byte: Self.filesKind)
            ClosedFile.encode(files, into: &content)
        case .impossible(let reason):
            content.append(byte: Self.reasonKind)
            content.append(reason)
        }
        var file = RawBuffer()
        unsafe file.append(integer: Checksum.crc32c(content.bytes))
        unsafe file.append(content.bytes)
        try unsafe FileSystem.publish(Self.path(of: window), file.bytes)
    }

    /// Nil where there is no result, or a damaged one. Blocks.
    package static func read(of window: WorkerWindow) -> RebuiltSegments? {
        guard let bytes = try? FileSystem.contents(path(of: window)) else { return nil }
        return unsafe bytes.withUnsafeBytes { file in
            var reader = unsafe StateReader(file)
            guard let checksum = try? reader.integer(UInt32.self),
                unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: file[4...])) == checksum,
                let kind = try? reader.integer(UInt8.self),
                let content = try? unsafe reader.bytes(reader.remaining)
            else { return nil }
            if kind == reasonKind {
                return unsafe .impossible(String(decoding: content, as: UTF8.self))
            }
            guard kind == filesKind else { return nil }
            return unsafe (try? ClosedFile.decode(ByteView(content))).map { .files($0) }
        }
    }

    /// Removes what rebuilds of a resource's windows up to this one have left. Blocks.
    package static func remove(of resource: Resource, through window: UInt64) throws(SystemError) {
        for name in try FileSystem.list(ClusterPaths.rebuilds) {
            guard let rebuilt = WorkerWindow(name), rebuilt.worker.resource == resource,
                rebuilt.window <= window
            else {
                continue
            }
            try FileSystem.removeTree(ClusterPaths.rebuild(of: rebuilt))
        }
    }
}
