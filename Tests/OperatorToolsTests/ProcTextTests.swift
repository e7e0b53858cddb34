import OperatorTools
import Testing

struct ProcTextTests {
    @Test func statWithBlanksAndParenthesesInTheName() throws {
        let text =
            "4242 (tmux: (server) x) S 17 4242 4242 0 -1 4194624 611 0 1 2 333 44 5 6 20 0 1 0 "
            + "987654 11165696 1024 18446744073709551615 1 1 0 0 0 0 0 3674112 134217728 0 0 0 17 3 "
            + "0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        let stat = try #require(ProcessStat(Array(text.utf8)))
        #expect(stat.comm == "tmux: (server) x")
        #expect(stat.ppid == 17)
        #expect(stat.userTicks == 333)
        #expect(stat.systemTicks == 44)
        #expect(stat.cpuTicks == 377)
        #expect(stat.startTicks == 987_654)
        #expect(stat.processor == 3)
    }

    @Test(arguments: ["", "1 (x", "1 (x) S 2 3", ")("]) func statCutOffIsNil(text: String) {
        #expect(ProcessStat(Array(text.utf8)) == nil)
    }

    @Test func memoryLines() throws {
        let text = "Name:\tcat\nVmPeak:\t 9000 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
        let memory = try #require(ProcessMemory(Array(text.utf8)))
        #expect(memory.resident == 1 << 20)
        #expect(memory.peak == 2 << 20)
        #expect(ProcessMemory(Array("Name:\tkthreadd\n".utf8)) == nil)
    }

    @Test func ioLines() throws {
        let text = """
            rchar: 1
            wchar: 2
            syscr: 3
            syscw: 4
            read_bytes: 4096
            write_bytes: 8192
            cancelled_write_bytes: 5
            """
        let io = try #require(ProcessIO(Array(text.utf8)))
        #expect(io.readBytes == 4096)
        #expect(io.writeBytes == 8192)
        #expect(io.readCalls == 3)
        #expect(io.writeCalls == 4)
    }

    private static let header =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

    @Test func socketsOfBothFamilies() throws {
        let table =
            Self.header
            + "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 "
            + "31337 1 0000000000000000 100 0 0 10 0\n"
            + "   1: 0A00020F:D431 22D8B85D:01BB 01 00000000:00000000 02:000006D6 00000000     0        0 "
            + "4711 2 0000000000000000 20 4 30 10 -1\n"
            + "   2: 0100007F:9999 0100007F:1F90 06 00000000:00000000 03:00000000 00000000     0        0 0 3\n"
        let sockets = SocketEntry.parse(Array(table.utf8))
        try #require(sockets.count == 2)
        #expect(sockets[0].inode == 31337)
        #expect(sockets[0].sourceAddress == "127.0.0.1")
        #expect(sockets[0].sourcePort == 8080)
        #expect(sockets[0].destinationPort == 0)
        #expect(!sockets[0].isEstablished)
        #expect(sockets[1].sourceAddress == "15.2.0.10")
        #expect(sockets[1].destinationAddress == "93.184.216.34")
        #expect(sockets[1].destinationPort == 443)
        #expect(sockets[1].isEstablished)
        let table6 =
            Self.header
            + "   0: 00000000000000000000000001000000:0016 B80D0120000000000000000001000000:E000 01 "
            + "00000000:00000000 00:00000000 00000000     0        0 99 1\n"
        let socket = try #require(SocketEntry.parse(Array(table6.utf8)).first)
        #expect(socket.sourceAddress == "::1")
        #expect(socket.destinationAddress == "2001:db8::1")
        #expect(socket.sourcePort == 22)
    }

    @Test func garbageHasNoSockets() {
        #expect(SocketEntry.parse(Array("x\ny z\n 0: 12:34 56:78 01 a b c d e 5\n".utf8)).isEmpty)
    }
}
