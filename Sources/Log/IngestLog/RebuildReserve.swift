package import SystemIO
package import TraceModel

/// Reserves space for rebuilds: what the segments that are made again will take is noted in the directory of each
/// rebuild, `segments/.rebuild/<worker>.w<window>/bytes`, as decimal text. The aggregator writes it, the router reads it.
package enum RebuildReserve {
    private static func path(in directory: String) -> String { "\(directory)/bytes" }

    /// Notes that the rebuild of a window may take `bytes`. Blocks until durable.
    package static func note(_ bytes: UInt64, for window: WorkerWindow) throws(SystemError) {
        var text = RawBuffer()
        text.append("\(bytes)\n")
        try unsafe FileSystem.publish(path(in: ClusterPaths.rebuild(of: window)), text.bytes)
    }

    /// Returns how many bytes the rebuilds that are there will still write. Blocks; a few system calls for each.
    package static func missingBytes() -> Int {
        guard let names = try? FileSystem.list(ClusterPaths.rebuilds) else { return 0 }
        return names.compactMap { WorkerWindow($0) }.reduce(0) { sum, window in
            let directory = ClusterPaths.rebuild(of: window)
            guard let text = try? FileSystem.contents(path(in: directory)),
                let bytes = Int(String(decoding: text, as: UTF8.self).dropLast())
            else { return sum }
            let segments = "\(directory)/\(ClusterPaths.segments)/\(window.worker)"
            let written = ((try? FileSystem.list(segments)) ?? []).reduce(0) {
                $0 + (FileSystem.size("\(segments)/\($1)") ?? 0)
            }
            return sum + max(bytes - written, 0)
        }
    }
}
