internal import CCrashCell
import Glibc

/// The position of a process at its end, in a small mapped file that outlives it: it survives `kill -9`, and a crash
/// adds its cause. A store costs as much as any memory write.
///
/// One per process, mapped for the life of the process. `position` belongs to one thread.
@safe package final class CrashCell: @unchecked Sendable {
    /// How a process ended.
    package enum Cause: Equatable, Sendable {
        case signal(Int32)
        /// Its watchdog received no sign of life.
        case hung
        /// It exited with an error.
        case failed

        fileprivate init?(raw: UInt32) {
            switch raw {
            case 0: return nil
            case Self.hungRaw: self = .hung
            case Self.failedRaw: self = .failed
            default: self = .signal(Int32(truncatingIfNeeded: raw))
            }
        }

        fileprivate var raw: UInt32 {
            switch self {
            case .signal(let number): UInt32(number)
            case .hung: Self.hungRaw
            case .failed: Self.failedRaw
            }
        }

        private static let hungRaw: UInt32 = 1 << 16
        private static let failedRaw: UInt32 = 1 << 17
    }

    private let cell: UnsafeMutablePointer<trace_crash_cell>
    private static let magic: UInt64 = 0x314C_4C45_4343_5254  // "TRCCELL1"

    /// Maps the file, creating it if needed. The values of the previous process can be read until `watch`.
    /// - Throws: `SystemError`, also if the disk has no room for the file's one block.
    package init(_ path: String) throws(SystemError) {
        let file = try File(path, .readWrite)
        let size = MemoryLayout<trace_crash_cell>.size
        // A hole could not be filled on a full disk, and a store into it would be fatal.
        try file.preallocate(size)
        let address = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else {
            throw SystemError(errno: errno, call: "mmap", subject: path)
        }
        unsafe cell = address.assumingMemoryBound(to: trace_crash_cell.self)
        guard unsafe cell.pointee.magic != Self.magic else { return }
        unsafe cell.pointee.cause = 0
        unsafe cell.pointee.deaths = 0
        unsafe cell.pointee.suspect = 0
        unsafe cell.pointee.position = .max
        unsafe cell.pointee.magic = Self.magic
    }

    /// What the process works on; nil if a crash could not be blamed on anything.
    package var position: UInt64? {
        get {
            let raw = unsafe cell.pointee.position
            return raw == .max ? nil : raw
        }
        set { unsafe cell.pointee.position = newValue ?? .max }
    }

    /// How the previous process ended; nil if it was killed or exited normally.
    package var cause: Cause? {
        get { Cause(raw: unsafe cell.pointee.cause) }
        set { unsafe cell.pointee.cause = newValue?.raw ?? 0 }
    }

    /// Number of crashes counted so far, and their position.
    package var tally: (position: UInt64, deaths: Int) {
        get { unsafe (cell.pointee.suspect, Int(cell.pointee.deaths)) }
        set {
            unsafe cell.pointee.suspect = newValue.position
            unsafe cell.pointee.deaths = UInt32(clamping: newValue.deaths)
        }
    }

    /// Starts recording crashes of this process in the cell. To be called on the thread that does the work: it gets a
    /// signal stack, so that a stack overflow is recorded too.
    package func watch() throws(SystemError) {
        let code = unsafe trace_crash_cell_watch(cell)
        guard code == 0 else { throw SystemError(errno: code, call: "sigaction", subject: "") }
    }
}
