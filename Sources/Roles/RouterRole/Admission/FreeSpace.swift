import SystemIO
import TraceModel

/// The free bytes of the file systems that a data directory lies on, asked for ten times a second at most. Belongs to one
/// thread.
struct FreeSpace {
    /// One file system.
    struct Volume {
        /// What lies there, for the operator.
        let name: StaticString
        let bytes: Int
    }

    private var last: (volume: Volume, at: Int64)?

    /// The one with the least room: the data directory's, or another one that `output` may lie on. Where it cannot be told
    /// there is no reason to refuse anything.
    mutating func least() -> Volume {
        let now = WallClock.monotonic()
        if let last, now - last.at < 100_000_000 { return last.volume }
        let volume = Self.measure()
        last = (volume, now)
        return volume
    }

    /// The same as it is now. Blocks for two system calls.
    static func measure() -> Volume {
        let data = Volume(name: "disk", bytes: Self.bytes(at: ClusterPaths.log))
        let output = Volume(name: "volume of output/", bytes: Self.bytes(at: ClusterPaths.output))
        return output.bytes < data.bytes ? output : data
    }

    private static func bytes(at path: String) -> Int {
        (try? FileSystem.freeBytes(at: path)) ?? .max
    }
}
