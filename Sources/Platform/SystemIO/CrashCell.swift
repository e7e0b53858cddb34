internal import CCrashCell
import Glibc

/// What a process was at when it ended, kept in a small mapped file that outlives it: `kill -9` leaves it as
/// it is, a crash leaves its cause. A store costs as much as any to memory.
///
/// One a process; stays mapped for its life. `position` belongs to one thread.
@safe package final class CrashCell: @unchecked Sendable {
    /// How a process ended itself.
    package enum Cause: Equatable, Sendable {
        case signal(Int32)
        /// Its watchdog did not hear from it.
        case hung
        /// It could not go on, and ended with an error.
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

    /// Maps the file, or makes it. What an earlier process has left is there to be read until `watch`.
    /// - Throws: `SystemError`, also where the disk has no room for its one block.
    package init(_ path: String) throws(SystemError) {
        let file = try File(path, .readWrite)
        let size = MemoryLayout<trace_crash_cell>.size
        // A hole could not be filled any more on a full disk, and a store into it would be fatal.
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

    /// What the process works on; nil: on nothing that a crash could be blamed on.
    package var position: UInt64? {
        get {
            let raw = unsafe cell.pointee.position
            return raw == .max ? nil : raw
        }
        set { unsafe cell.pointee.position = newValue ?? .max }
    }

    /// How the process that wrote here last ended itself; nil where it did not, or was killed.
    package var cause: Cause? {
        get { Cause(raw: unsafe cell.pointee.cause) }
        set { unsafe cell.pointee.cause = newValue?.raw ?? 0 }
    }

    /// The deaths counted so far, and at what.
    package var tally: (position: UInt64, deaths: Int) {
        get { unsafe (cell.pointee.suspect, Int(cell.pointee.deaths)) }
        set {
            unsafe cell.pointee.suspect = newValue.position
            unsafe cell.pointee.deaths = UInt32(clamping: newValue.deaths)
        }
    }

    /// From now on a crash of this process is noted in the cell. On the thread that does the work: it gets
    /// a signal stack, so that overflowing its stack is noted as well.
    package func watch() throws(SystemError) {
        let code = unsafe trace_crash_cell_watch(cell)
        guard code == 0 else { throw SystemError(errno: code, call: "sigaction", subject: "") }
    }
}
