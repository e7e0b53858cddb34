import SystemIO
import TraceModel

/// The number that distinguishes a process of the data directory from earlier ones of the same name: it grows with
/// each start, whatever the clock says. Kept in `checkpoints/<process>.incarnation`, a `MirroredFile` whose body is the
/// last one taken, u64. A clock that is ahead of it is followed, so that a file that is lost harms only where
/// the clock was set back as well.
package enum Incarnation {
    /// What is taken for the last one at most: it has to be able to grow.
    private static let latest: UInt64 = .max >> 1

    /// Takes the next one for `process`, of which no other runs. Blocks until it is durable, but where the disk has no room
    /// for it. `seen`: one that is known to have been used.
    /// - Throws: `SystemError` where the file can't be read or written for another reason.
    package static func take(for process: String, after seen: UInt64 = 0) throws -> UInt64 {
        let file = MirroredFile(ClusterPaths.incarnation(of: process))
        let next = max(UInt64(WallClock.now()), max(try last(in: file), min(seen, latest)) + 1)
        do {
            try FileSystem.createDirectory(FileSystem.parent(of: file.path))
            try file.publish { writer in writer.body.append(integer: next) }
        } catch let error as SystemError where error.isOutOfSpace {
            // The next start may only draw the same one if the clock is set back until then.
        }
        return next
    }

    /// 0 where there is none that can be read.
    private static func last(in file: MirroredFile) throws -> UInt64 {
        do {
            let content = try file.read(remedy: "It is drawn anew")
            return try content?.withBody { min(try $0.integer(UInt64.self), latest) } ?? 0
        } catch let error as TraceError where error.code == .corrupt {
            return 0
        }
    }
}
