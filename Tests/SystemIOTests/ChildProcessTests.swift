import Glibc
import SystemIO
import Testing

/// Programs started by this process.
@Suite struct ChildProcessTests {
    private func end(of child: ChildProcess) -> ChildProcess.End {
        while true {
            if let end = child.poll() { return end }
            sched_yield()
        }
    }

    @Test func itsEndIsKnown() throws {
        #expect(end(of: try ChildProcess("/bin/sh", ["-c", "exit 7"])) == .exited(7))
        #expect(end(of: try ChildProcess("/bin/sh", ["-c", "kill -9 $$"])) == .signalled(9))
    }

    @Test func itGetsNoOpenFile() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let test = "test -e /proc/self/fd/0 && ! test -e /proc/self/fd/\(ends[0])"
        #expect(end(of: try ChildProcess("/bin/sh", ["-c", test])) == .exited(0))
    }

    @Test func aProgramThatIsNotThereIsAnError() {
        #expect(throws: SystemError.self) { _ = try ChildProcess("/nowhere/program", []) }
    }
}
