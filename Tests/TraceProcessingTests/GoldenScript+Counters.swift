import TraceModel
import TraceWire

extension GoldenScript {
    private static let reals: [Double] = [
        0, 12.5, .nan, .infinity, -.infinity, -1, 1e300, .leastNonzeroMagnitude, 100, -0.0,
    ]

    /// Adds two moments a name and real number, the second of the same time, in the order 0, 2, 1, 4, 3…
    private func eachMoment(_ add: (_ name: String, _ real: Double, _ time: Int64, Int) -> Void) {
        for index in Self.names.indices {
            let swapped = index == 0 ? 0 : index % 2 == 1 ? min(index + 1, 9) : index - 1
            let time = 980 + Int64(swapped) * 5
            add(Self.names[index], Self.reals[index], time, swapped)
            add(Self.names[index], Self.reals[index], time, swapped)
        }
    }

    mutating func addCPUs() {
        func event(_ pid: UInt32, _ comm: String, at milliseconds: Int64) -> BatchEncoder.CPU {
            var event = BatchEncoder.CPU()
            event.timestamp = Self.time(milliseconds)
            event.pid = pid
            event.ppid = 1
            event.comm = comm
            return event
        }
        let script = self
        batches(at: 2) { batch in
            script.eachMoment { name, real, time, index in
                var event = event(30 + UInt32(index % 2), name, at: time)
                event.cpuID = UInt32(index)
                event.onCPUMicroseconds = UInt64(index) * 1_000
                event.offCPUMicroseconds = UInt64(index) * 10
                event.utilizationPercent = real
                event.migrations = UInt32(index) * 100
                event.hotspotPercent = real
                batch.add(event.pid) { $0.append(event) }
            }
            for time in [1_300, 1_301] as [Int64] {
                var event = event(32, "greatest", at: time)
                (event.cpuID, event.hotspotCPU, event.ppid) = (.max, .max, .max)
                (event.onCPUMicroseconds, event.offCPUMicroseconds) = (.max, .max)
                (event.migrations, event.numaMigrations) = (.max, .max)
                batch.add(32) { $0.append(event) }
            }
            var hot = event(33, "hot", at: 2_000)
            hot.hotspotPercent = 99
            for cpu in UInt32(0)..<40 {
                (hot.cpuID, hot.migrations) = (cpu, cpu * 90)
                hot.timestamp = Self.time(2_000 + Int64(cpu) * 50)
                batch.add(33) { $0.append(hot) }
            }
        }
        rotate()
        batches(at: 10) { batch in
            let event = event(30, "", at: 9_000)
            batch.add(30) { $0.append(event) }
        }
    }

    mutating func addMemory() {
        func event(
            _ operation: String,
            _ address: UInt64,
            at milliseconds: Int64
        ) -> BatchEncoder.Memory {
            var event = BatchEncoder.Memory()
            event.timestamp = Self.time(milliseconds)
            (event.tgid, event.pid, event.comm) = (40, 41, "alloc, \"er\"")
            (event.operation, event.address, event.size) = (operation, address, 4_096)
            return event
        }
        let script = self
        batches(at: 2) { batch in
            script.eachMoment { name, real, time, index in
                var event = event(name, UInt64(index), at: time)
                (event.totalAllocs, event.totalFrees) = (UInt64(index) * 5, UInt64(index) * 3)
                (event.currentMemory, event.peakMemory) = (UInt64(index) << 40, UInt64(index) << 41)
                event.anomalies = [.init(description: name, severity: real)]
                batch.add(40) { $0.append(event) }
            }
            for address in [1, .max] as [UInt64] {
                var large = event("alloc", address, at: 1_500)
                large.size = address == 1 ? 64 << 20 : .max
                (large.pattern, large.fragmentationScore) = (-7, .max)
                (large.stackID, large.largeAllocs, large.churnScore) = (.max, .max, .max)
                large.leakSuspected = true
                batch.add(40) { $0.append(large) }
                for time in [1_600, 1_601] as [Int64] {
                    let release = event("free", address, at: time)
                    batch.add(40) { $0.append(release) }
                }
            }
            // A process id in the thread's field only.
            var alone = event("free", 0xDEAD, at: 1_700)
            (alone.tgid, alone.pid, alone.comm) = (0, 42, "alone")
            batch.add(42) { $0.append(alone) }
        }
        rotate()
        batches(at: 10) { batch in
            let event = event("free", 0xBEEF, at: 9_000)
            batch.add(40) { $0.append(event) }
        }
    }

    mutating func addNetwork() {
        func event(
            from: (String, UInt32),
            to: (String, UInt32),
            at milliseconds: Int64
        ) -> BatchEncoder.Network {
            var event = BatchEncoder.Network()
            event.timestamp = Self.time(milliseconds)
            (event.tgid, event.pid, event.comm) = (50, 51, "net, \"work\"")
            (event.sourceAddress, event.sourcePort) = from
            (event.destinationAddress, event.destinationPort) = to
            (event.transport, event.bytes) = ("TCP", 1_500)
            return event
        }
        let script = self
        batches(at: 2) { batch in
            script.eachMoment { name, real, time, index in
                var event = event(from: (name, 40_000), to: ("fe80::\(index)", 70_000), at: time)
                event.isSend = index % 2 == 0
                (event.txBytes, event.rxBytes) = (UInt64(index) << 20, UInt64(index) << 30)
                (event.txPackets, event.rxPackets) = (UInt64(index) * 100, UInt64(index))
                (event.retransmits, event.errors) = (UInt32(index) * 9, UInt32(index))
                event.transport = name
                event.anomalies = [.init(description: name, severity: real)]
                batch.add(50) { $0.append(event) }
            }
            var great = event(from: ("", .max), to: ("[::1]", .max), at: 1_500)
            (great.tgid, great.bytes, great.txBytes, great.rxBytes) = (52, .max, .max, .max)
            (great.txPackets, great.rxPackets, great.pattern) = (.max, .max, .min)
            (great.activeConnections, great.isBursty) = (.max, true)
            batch.add(52) { $0.append(great) }
            for port in [8_080, 0] as [UInt32] {
                let listener = event(from: ("0.0.0.0", port), to: ("", 0), at: 1_600)
                batch.add(50) { $0.append(listener) }
            }
            for port in UInt32(1)...25 {
                let probe = event(from: ("10.0.0.1", 5), to: ("10.0.0.9", port), at: 1_700)
                batch.add(50) { $0.append(probe) }
            }
        }
        rotate()
        batches(at: 10) { batch in
            let event = event(from: ("10.0.0.1", 5), to: ("10.0.0.9", 443), at: 9_000)
            batch.add(50) { $0.append(event) }
        }
    }

    mutating func addIO() {
        func event(_ operation: String, _ device: String, at time: Int64) -> BatchEncoder.IO {
            var event = BatchEncoder.IO()
            event.timestamp = Self.time(time)
            (event.pid, event.comm) = (60, "disk, \"work\"")
            (event.operation, event.device, event.bytes) = (operation, device, 512)
            return event
        }
        let script = self
        batches(at: 2) { batch in
            script.eachMoment { name, real, time, index in
                var event = event(["READ", "write", name][index % 3], name, at: time)
                event.latencyMilliseconds = real
                event.averageReadLatencyMilliseconds = real
                event.averageWriteLatencyMilliseconds = real
                (event.readBytes, event.writeBytes) = (UInt64(index) << 20, UInt64(index) << 30)
                (event.readOperations, event.writeOperations) = (UInt64(index), UInt64(index) * 2)
                batch.add(60) { $0.append(event) }
            }
            var great = event("SYNC", "sda", at: 1_500)
            (great.pid, great.bytes, great.readBytes, great.writeBytes) = (61, .max, .max, .max)
            (great.readOperations, great.writeOperations) = (.max, .max)
            (great.major, great.minor) = (.max, .max)
            batch.add(61) { $0.append(great) }
            for index in Int64(0)..<40 {
                var steady = event("READ", "sdb", at: 1_600 + index)
                steady.latencyMilliseconds = index < 39 ? 1 + Double(index % 3) / 10 : 250
                batch.add(60) { $0.append(steady) }
            }
        }
        rotate()
        batches(at: 10) { batch in
            let event = event("READ", "sda", at: 9_000)
            batch.add(60) { $0.append(event) }
        }
    }
}
