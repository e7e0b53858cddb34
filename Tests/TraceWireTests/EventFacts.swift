import CTraceProtos
import TraceModel
import TraceWire

/// An event as a list of numbers, so that our decoder's and protobuf-c's results can be compared.
/// Strings count by length and FNV-1a up to their first NUL, where the reference's end.
struct EventFacts: Equatable {
    private(set) var values: [UInt64] = []

    private(set) var processID: UInt64 = 0

    mutating func add(_ value: UInt64) { values.append(value) }
    mutating func add(_ value: Int64) { values.append(UInt64(bitPattern: value)) }
    mutating func add(_ value: UInt32) { values.append(UInt64(value)) }
    mutating func add(_ value: Int32) { values.append(UInt64(UInt32(bitPattern: value))) }
    mutating func add(_ value: Bool) { values.append(value ? 1 : 0) }
    mutating func add(_ value: Double) { values.append(value.bitPattern) }

    mutating func addProcess(_ value: UInt32) {
        processID = UInt64(value)
        add(value)
    }

    mutating func add(_ view: ByteView) {
        let text = view.buffer.prefix { $0 != 0 }
        add(UInt64(text.count))
        add(Slot.hash(host: UnsafeRawBufferPointer(rebasing: text)))
    }

    mutating func add(_ text: UnsafeMutablePointer<CChar>?) {
        var count = 0
        if let text { while text[count] != 0 { count += 1 } }
        add(ByteView(start: text.map { UnsafeRawPointer($0) }, count: count))
    }
}

extension EventFacts {
    /// `limit`: as `WireEvent` has it.
    init(_ resource: Resource, decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?) {
        switch resource {
        case .function: self.init(FunctionEvent(decoding: payload, readableUntil: limit))
        case .cpu: self.init(CPUEvent(decoding: payload, readableUntil: limit))
        case .memory: self.init(MemoryEvent(decoding: payload, readableUntil: limit))
        case .network: self.init(NetworkEvent(decoding: payload, readableUntil: limit))
        case .io: self.init(IOEvent(decoding: payload, readableUntil: limit))
        case .gpu: self.init(GPUEvent(decoding: payload, readableUntil: limit))
        }
    }
}

extension EventFacts {
    init(_ event: FunctionEvent) {
        add(event.timestamp)
        add(event.eventType)
        add(event.cookie)
        add(event.functionName)
        add(event.pid)
        add(event.callCount)
        add(event.averageDurationMicroseconds)
        add(event.tgid)
        addProcess(event.processID)
    }

    init(_ event: NeuTracer__TraceData) {
        add(event.timestamp)
        add(event.event_type)
        add(event.cookie)
        add(event.function_name)
        add(event.pid)
        add(event.call_count)
        add(event.avg_duration_us)
        add(event.tgid)
        addProcess(event.tgid != 0 ? event.tgid : event.pid)
    }
}

extension EventFacts {
    init(_ event: CPUEvent) {
        add(event.timestamp)
        add(event.pid)
        add(event.parentPID)
        add(event.comm)
        add(event.cpuID)
        add(event.onCPUMicroseconds)
        add(event.offCPUMicroseconds)
        add(event.utilizationPercent)
        add(event.migrations)
        add(event.numaMigrations)
        add(event.hotspotCPU)
        add(event.hotspotPercent)
        addProcess(event.processID)
    }

    init(_ event: NeuTracer__CPUTraceData) {
        add(event.timestamp)
        add(event.pid)
        add(event.ppid)
        add(event.comm)
        add(event.cpu_id)
        add(event.oncpu_time)
        add(event.offcpu_time)
        add(event.utilization)
        add(event.migrations_count)
        add(event.numa_migrations)
        add(event.hotspot_cpu)
        add(event.hotspot_percentage)
        addProcess(event.pid)
    }
}

extension EventFacts {
    init(_ event: MemoryEvent) {
        add(event.timestamp)
        add(event.pid)
        add(event.tgid)
        add(event.comm)
        add(event.operation)
        add(event.size)
        add(event.address)
        add(event.stackID)
        add(event.totalAllocations)
        add(event.totalFrees)
        add(event.currentMemory)
        add(event.peakMemory)
        add(event.pattern)
        add(event.largeAllocations)
        add(event.fragmentationScore)
        add(event.leakSuspected)
        add(event.churnScore)
        addProcess(event.processID)
        add(UInt64(event.anomalyCount))
        for anomaly in event.anomalies {
            add(anomaly.description)
            add(anomaly.severity)
        }
    }

    init(_ event: NeuTracer__MemoryTraceData) {
        add(event.timestamp)
        add(event.pid)
        add(event.tgid)
        add(event.comm)
        add(event.operation)
        add(event.size)
        add(event.addr)
        add(event.stack_id)
        add(event.total_allocs)
        add(event.total_frees)
        add(event.current_memory)
        add(event.peak_memory)
        add(event.mem_pattern)
        add(event.large_allocs)
        add(event.fragmentation_score)
        add(event.leak_suspected != 0)
        add(event.churn_score)
        addProcess(event.tgid != 0 ? event.tgid : event.pid)
        addAnomalies(event.anomalies, count: event.n_anomalies)
    }
}

extension EventFacts {
    init(_ event: NetworkEvent) {
        add(event.timestamp)
        add(event.pid)
        add(event.tgid)
        add(event.comm)
        add(event.isSend)
        add(event.byteCount)
        add(event.sourceAddress)
        add(event.destinationAddress)
        add(event.sourcePort)
        add(event.destinationPort)
        add(event.transport)
        add(event.txBytes)
        add(event.rxBytes)
        add(event.txPackets)
        add(event.rxPackets)
        add(event.pattern)
        add(event.retransmits)
        add(event.errors)
        add(event.isBursty)
        add(event.activeConnections)
        addProcess(event.processID)
        add(UInt64(event.anomalyCount))
        for anomaly in event.anomalies {
            add(anomaly.description)
            add(anomaly.severity)
        }
    }

    init(_ event: NeuTracer__NetworkTraceData) {
        add(event.timestamp)
        add(event.pid)
        add(event.tgid)
        add(event.comm)
        add(event.is_send != 0)
        add(event.bytes)
        add(event.src_addr)
        add(event.dst_addr)
        add(event.src_port)
        add(event.dst_port)
        add(event.`protocol`)
        add(event.tx_bytes)
        add(event.rx_bytes)
        add(event.tx_packets)
        add(event.rx_packets)
        add(event.net_pattern)
        add(event.retransmits)
        add(event.errors)
        add(event.is_bursty != 0)
        add(event.active_connections)
        addProcess(event.tgid != 0 ? event.tgid : event.pid)
        addAnomalies(event.anomalies, count: event.n_anomalies)
    }
}

extension EventFacts {
    init(_ event: IOEvent) {
        add(event.timestamp)
        add(event.pid)
        add(event.comm)
        add(event.operation)
        add(event.byteCount)
        add(event.latencyMilliseconds)
        add(event.device)
        add(event.major)
        add(event.minor)
        add(event.readBytes)
        add(event.writeBytes)
        add(event.readOperations)
        add(event.writeOperations)
        add(event.averageReadLatencyMilliseconds)
        add(event.averageWriteLatencyMilliseconds)
        addProcess(event.processID)
    }

    init(_ event: NeuTracer__IOTraceData) {
        add(event.timestamp)
        add(event.pid)
        add(event.comm)
        add(event.operation)
        add(event.bytes)
        add(event.latency_ms)
        add(event.device)
        add(event.major)
        add(event.minor)
        add(event.read_bytes)
        add(event.write_bytes)
        add(event.read_ops)
        add(event.write_ops)
        add(event.avg_read_latency)
        add(event.avg_write_latency)
        addProcess(event.pid)
    }
}

extension EventFacts {
    init(_ event: GPUEvent) {
        add(event.timestamp)
        add(event.eventType)
        add(UInt64(event.kind.rawValue))
        add(event.text)
        add(event.value)
        addProcess(event.processID)
    }

    init(_ event: NeuTracer__GPUTraceData) {
        add(event.timestamp)
        add(Int32(bitPattern: event.event_type.rawValue))
        add(UInt64(event.event_data_case.rawValue))
        switch event.event_data_case.rawValue {
        case 3: add(event.callstack_event.pointee)
        case 4: add(event.mem_event.pointee)
        case 5: add(event.cuda_launch_event.pointee)
        case 6: add(event.mem_trans_event.pointee)
        default: addPayload(nil, 0, 0)
        }
    }

    private mutating func addPayload(
        _ text: UnsafeMutablePointer<CChar>?,
        _ value: UInt64,
        _ pid: UInt32
    ) {
        add(text)
        add(value)
        addProcess(pid)
    }

    private mutating func add(_ event: NeuTracer__CallstackEvent) {
        addPayload(event.stack_message, 0, event.pid)
    }

    private mutating func add(_ event: NeuTracer__MemEvent) {
        addPayload(nil, event.mem_size, event.pid)
    }

    private mutating func add(_ event: NeuTracer__CudaLaunchEvent) {
        addPayload(event.kernel_name, event.num_calls, event.pid)
    }

    private mutating func add(_ event: NeuTracer__MemTransEvent) {
        addPayload(event.kind_str, event.mem_trans_rate, event.pid)
    }

    private mutating func addAnomalies(
        _ anomalies: UnsafeMutablePointer<UnsafeMutablePointer<NeuTracer__Anomaly>?>?,
        count: Int
    ) {
        add(UInt64(count))
        for index in 0..<count {
            guard let anomaly = anomalies?[index]?.pointee else { continue }
            add(anomaly.description)
            add(anomaly.severity)
        }
    }
}
