import Glibc
import SystemIO
import TestSupport
import Testing

/// The content of a process's crash cell, by the way the process ends.
@Suite struct CrashCellTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private var path: String { "\(directory.path)/cell" }

    /// Starts a process that watches its cell, sets the position 77, and ends in the given way.
    private func end(_ way: String, by signal: Int32? = nil) throws -> CrashCell.Cause? {
        let probe = try ProbeProcess(["crash", path, way])
        #expect(try probe.line() == "watching")
        if let signal { probe.send(signal) }
        let end = probe.wait()
        #expect(end.isSignal == (way != "exit"))
        let cell = try CrashCell(path)
        #expect(cell.position == 77)
        #expect(cell.tally == (9, 2))
        return cell.cause
    }

    @Test(arguments: [
        ("trap", SIGILL), ("fault", SIGSEGV), ("abort", SIGABRT), ("overflow", SIGSEGV),
        ("breakpoint", SIGTRAP),
        ("division", SIGFPE),
    ]) func aCrashLeavesItsSignal(way: String, signal: Int32) throws {
        #expect(try end(way) == .signal(signal))
    }

    @Test(arguments: [SIGKILL, SIGTERM, SIGSEGV, SIGABRT]) func signalsFromOthersLeaveNothing(
        signal: Int32
    ) throws {
        #expect(try end("wait", by: signal) == nil)
    }

    @Test func anOrderlyEndLeavesNothing() throws { #expect(try end("exit") == nil) }

    /// The first cause that is recorded counts.
    @Test func aWatchdogsKillIsNotRecordedAsAnAbort() throws { #expect(try end("hung") == .hung) }

    @Test func aNewCellIsEmpty() throws {
        let cell = try CrashCell(path)
        #expect(cell.position == nil && cell.cause == nil && cell.tally.deaths == 0)
        cell.cause = .failed
        cell.position = 0
        let other = try CrashCell(path)
        #expect(other.cause == .failed && other.position == 0)
    }
}
