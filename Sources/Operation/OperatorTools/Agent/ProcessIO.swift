/// `/proc/PID/io`: bytes that reached the storage layer, and calls to read and write; cumulative.
package struct ProcessIO: Equatable, Sendable {
    package let readBytes: UInt64
    package let writeBytes: UInt64
    package let readCalls: UInt64
    package let writeCalls: UInt64

    package init?(_ bytes: [UInt8]) {
        guard let readBytes = FieldScanner.number(named: "read_bytes:", in: bytes),
            let writeBytes = FieldScanner.number(named: "write_bytes:", in: bytes),
            let readCalls = FieldScanner.number(named: "syscr:", in: bytes),
            let writeCalls = FieldScanner.number(named: "syscw:", in: bytes)
        else { return nil }
        self.readBytes = readBytes
        self.writeBytes = writeBytes
        self.readCalls = readCalls
        self.writeCalls = writeCalls
    }
}
