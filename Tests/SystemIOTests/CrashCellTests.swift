import Glibc
import SystemIO
import TestSupport
import Testing

/// What a process leaves in its cell, by how it ends.
@Suite struct CrashCellTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private var path: String { "\(directory.path)/cell" }

    /// Has a process watch its cell, stand at 77, and end in this way.
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
        ("trap", SIGILL), ("fault", SIGSEGV), ("abort", SIGABRT), ("overflow", SIGSEGV), ("breakpoint", SIGTRAP),
        ("division", SIGFPE),
    ]) func aCrashLeavesItsSignal(way: String, signal: Int32) throws { #expect(try end(way) == .signal(signal)) }

    @Test(arguments: [SIGKILL, SIGTERM, SIGSEGV, SIGABRT]) func whatOthersSendLeavesNothing(signal: Int32) throws {
        #expect(try end("wait", by: signal) == nil)
    }

    @Test func anOrderlyEndLeavesNothing() throws { #expect(try end("exit") == nil) }

    /// The cause that stands there first is the one that counts.
    @Test func aWatchdogsDeathIsNotTakenForAnAbort() throws { #expect(try end("hung") == .hung) }

    @Test func aFreshCellHoldsNothing() throws {
        let cell = try CrashCell(path)
        #expect(cell.position == nil && cell.cause == nil && cell.tally.deaths == 0)
        cell.cause = .failed
        cell.position = 0
        let other = try CrashCell(path)
        #expect(other.cause == .failed && other.position == 0)
    }
}
