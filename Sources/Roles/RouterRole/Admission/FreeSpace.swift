import SystemIO

/// The free bytes of a file system, asked for ten times a second at most. Belongs to one thread.
struct FreeSpace {
    private let path: String
    private var last: (bytes: Int, at: Int64)?

    init(_ path: String) { self.path = path }

    /// Where it cannot be told there is no reason to refuse anything.
    mutating func bytes() -> Int {
        let now = WallClock.monotonic()
        if let last, now - last.at < 100_000_000 { return last.bytes }
        let bytes = (try? FileSystem.freeBytes(at: path)) ?? .max
        last = (bytes, now)
        return bytes
    }
}
