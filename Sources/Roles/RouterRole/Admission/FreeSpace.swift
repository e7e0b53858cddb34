import IngestLog
import SystemIO
import TraceModel

/// Reads the free bytes of the data directory's file systems, at most ten times a second. One thread.
struct FreeSpace {
    /// One file system.
    struct Volume {
        /// What the file system contains, in the operator's words.
        let name: StaticString
        let bytes: Int
        /// Bytes that rebuilds of damaged segments will still write.
        var rebuildBytes = 0
    }

    private var last: (volume: Volume, at: Int64)?

    /// Returns the volume with the least free space: the data directory's, or the one of `output` if that is another.
    /// If it cannot be determined, the result is no reason to refuse anything.
    mutating func least() -> Volume {
        let now = WallClock.monotonic()
        if let last, now - last.at < 100_000_000 { return last.volume }
        var volume = Self.measure()
        volume.rebuildBytes = RebuildReserve.missingBytes()
        last = (volume, now)
        return volume
    }

    /// Returns the same, measured now. Blocks for two system calls.
    static func measure() -> Volume {
        let data = Volume(name: "disk", bytes: Self.bytes(at: ClusterPaths.log))
        let output = Volume(name: "volume of output/", bytes: Self.bytes(at: ClusterPaths.output))
        return output.bytes < data.bytes ? output : data
    }

    private static func bytes(at path: String) -> Int {
        (try? FileSystem.freeBytes(at: path)) ?? .max
    }
}
