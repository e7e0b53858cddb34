import TraceModel
import TraceSummaries
import TraceWire

// What the models record, by the columns of `SummarySchema`. Growth of the agent's cumulative counters is given as
// differences; the very first sample of a process covers time before the window and counts as none.

extension WindowActivity {
    // MARK: Functions

    @inline(__always) mutating func called(_ calls: UInt64) { process.add(calls, to: 1) }

    /// Adds the time during which threads of the process had a call open.
    @inline(__always) mutating func wasOpen(nanoseconds: UInt64) { process.add(nanoseconds, to: 2) }

    @inline(__always) mutating func calledSlowly() { process.add(1, to: 3) }

    /// Adds a function's values to the item of its name, which is cut.
    mutating func called(_ function: SummaryPart) {
        let position = item(1, named: function.item)
        for column in [0, 1, 2, 4, 5, 6, 7, 8] {
            add(function.values[column], to: column, ofItem: position)
        }
        raise(3, to: function.values[3], ofItem: position)
        merge(function.sketch, intoItem: position)
    }

    // MARK: CPU

    /// Records a utilization; negative or non-finite values are ignored.
    @inline(__always) mutating func utilization(percent: Double) {
        guard percent.isFinite, percent >= 0 else { return }
        let millionths = UInt64(min((percent * 1e6).rounded(), 1e15))
        process.add(1, to: 1)
        process.add(millionths, to: 2)
        process.raise(3, to: millionths)
    }

    @inline(__always) mutating func cpu(
        onTime: UInt64,
        offTime: UInt64,
        migrations: UInt64,
        numaMigrations: UInt64
    ) {
        process.add(onTime, to: 4)
        process.add(offTime, to: 5)
        process.add(migrations, to: 6)
        process.add(numaMigrations, to: 7)
    }

    /// Records that the process was seen on another CPU than before.
    @inline(__always) mutating func moved() { process.add(1, to: 8) }

    // MARK: Memory

    @inline(__always) mutating func memory(
        current: UInt64,
        peak: UInt64,
        allocations: UInt64,
        frees: UInt64
    ) {
        process[1] = current
        process.raise(2, to: current)
        process.raise(3, to: max(peak, current))
        process.add(allocations, to: 4)
        process.add(frees, to: 5)
    }

    @inline(__always) mutating func allocated(bytes: UInt64) { process.add(bytes, to: 6) }

    @inline(__always) mutating func allocated(atOnce bytes: UInt64) { process.raise(7, to: bytes) }

    @inline(__always) mutating func freed(bytes: UInt64) { process.add(bytes, to: 8) }

    // MARK: Network

    @inline(__always) mutating func network(
        txBytes: UInt64,
        rxBytes: UInt64,
        txPackets: UInt64,
        rxPackets: UInt64
    ) {
        process.add(txBytes, to: 1)
        process.add(rxBytes, to: 2)
        process.add(txPackets, to: 3)
        process.add(rxPackets, to: 4)
    }

    @inline(__always) mutating func network(connections: UInt32) {
        process.raise(7, to: UInt64(connections))
    }

    @inline(__always) mutating func transferred(bytes: UInt64, isSend: Bool) {
        process.add(bytes, to: isSend ? 5 : 6)
    }

    /// Adds traffic over a connection, by its columns. Beyond the bound, new connections share one item.
    mutating func talked(over connection: ByteView, _ values: SummaryValues) {
        guard values[0] > 0 else { return }
        let position =
            itemCount < Limits.connectionItemsPerProcessMax
            ? item(1, named: connection) : known(1, connection) ?? item(1, named: ByteView("other"))
        for column in 0...2 { add(values[column], to: column, ofItem: position) }
        lower(3, to: values[3], ofItem: position)
        raise(4, to: values[4], ofItem: position)
    }

    /// Adds the traffic of one connection to the sum of several.
    static func add(connection values: SummaryValues, to sum: inout SummaryValues) {
        for column in 0...2 { sum.add(values[column], to: column) }
        sum.lower(3, to: values[3])
        sum.raise(4, to: values[4])
    }

    /// Returns the columns of a connection's traffic.
    static func values(
        of traffic: NetworkConnection.Traffic,
        _ life: NetworkConnection.Life
    ) -> SummaryValues {
        var values = SummaryValues()
        values[0] = traffic.events
        values[1] = traffic.txBytes
        values[2] = traffic.rxBytes
        values.lower(3, to: UInt64(clamping: life.opened))
        values.raise(4, to: UInt64(clamping: life.lastSeen))
        return values
    }

    /// Adds traffic by protocol. Beyond the bound, new protocols share one item.
    mutating func talked(by transport: ByteView, _ traffic: NetworkProtocols.Window) {
        let itemsMax = Limits.connectionItemsPerProcessMax + Limits.protocolsPerProcessMax
        let name = transport.isEmpty ? ByteView("unknown") : transport
        let position =
            itemCount < itemsMax
            ? item(2, named: name) : known(2, name) ?? item(2, named: ByteView("other"))
        add(traffic.events, to: 0, ofItem: position)
        add(traffic.txBytes, to: 1, ofItem: position)
        add(traffic.rxBytes, to: 2, ofItem: position)
        add(traffic.packets.tx, to: 3, ofItem: position)
        add(traffic.packets.rx, to: 4, ofItem: position)
    }

    // MARK: I/O

    @inline(__always) mutating func io(
        readBytes: UInt64,
        writeBytes: UInt64,
        readOperations: UInt64,
        writeOperations: UInt64
    ) {
        process.add(readBytes, to: 1)
        process.add(writeBytes, to: 2)
        process.add(readOperations, to: 3)
        process.add(writeOperations, to: 4)
    }

    /// Records one operation on a device. A latency that is not a valid duration is ignored, and so is 0, which
    /// agents send if they do not measure it.
    @inline(__always) mutating func operated(
        _ operation: IOOperation,
        device: ByteView,
        bytes: UInt64,
        milliseconds: Double
    ) {
        let position = ioItem(operation, device)
        add(1, to: 0, ofItem: position)
        add(bytes, to: 1, ofItem: position)
        guard milliseconds > 0, milliseconds.isFinite else { return }
        let nanoseconds = UInt64(min((milliseconds * 1e6).rounded(), 1e18))
        add(1, to: 2, ofItem: position)
        add(nanoseconds, to: 3, ofItem: position)
        raise(4, to: nanoseconds, ofItem: position)
        sample(nanoseconds, ofItem: position)
    }

    /// Returns the item of a device. Beyond the bound, new devices share one item.
    private mutating func ioItem(_ operation: IOOperation, _ device: ByteView) -> Int {
        let table = 1 + operation.rawValue
        let countMax = Limits.devicesPerProcessMax * IOOperation.allCases.count
        guard itemCount >= countMax else { return item(table, named: device) }
        return known(table, device) ?? item(table, named: ByteView("other"))
    }

    // MARK: GPU

    /// Records the GPU memory in use. `isLatest`: no event with a later time has been applied.
    mutating func gpuMemory(bytes: UInt64, isLatest: Bool) {
        if isLatest { process[1] = bytes }
        process.raise(2, to: bytes)
    }

    @inline(__always) mutating func launched(_ launches: UInt64) { process.add(launches, to: 3) }

    /// Adds a kernel's values to the item of its name, which is cut.
    mutating func launched(_ values: SummaryValues, kernel: ByteView) {
        let position = item(1, named: kernel)
        for column in 0...1 { add(values[column], to: column, ofItem: position) }
    }

    mutating func transferred(bytesPerSecond: UInt64, kind: ByteView) {
        let position = item(2, named: kind)
        add(1, to: 0, ofItem: position)
        add(bytesPerSecond, to: 1, ofItem: position)
        raise(2, to: bytesPerSecond, ofItem: position)
    }
}
