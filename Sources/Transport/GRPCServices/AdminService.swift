internal import CTraceProtos
package import GRPCTransport
package import TraceModel

/// Name and methods of `TraceProcessor.TraceAdmin` (Protos/trace_admin.proto). The router serves it on its Unix socket
/// only.
package enum AdminService {
    package static let name = "TraceProcessor.TraceAdmin"

    /// Index in `methods`.
    package enum Method: Int, Sendable {
        case finalize
        case scale
        case drain
        case skip
        case slots

        package var path: String { AdminService.methods[rawValue].path }
    }

    package static let methods = [
        GRPCMethod(path: "/\(name)/Finalize", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Scale", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Drain", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Skip", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Slots", kind: .unary, lane: .control),
    ]
}

/// The current or requested number of workers of a resource. The client sends the resource's name, so it may be
/// unknown.
package struct WorkerCount: Sendable, Equatable {
    package var resource: String
    package var workers: Int

    package init(resource: String, workers: Int) {
        self.resource = resource
        self.workers = workers
    }

    init(_ c: UnsafeMutablePointer<TraceProcessor__WorkerCount>?) {
        unsafe self.init(
            resource: MessageCodec.text(c?.pointee.resource),
            workers: Int(c?.pointee.workers ?? 0)
        )
    }

    static func list(
        _ start: UnsafeMutablePointer<UnsafeMutablePointer<TraceProcessor__WorkerCount>?>?,
        _ count: Int
    ) -> [WorkerCount] {
        guard let start = unsafe start else { return [] }
        return (0..<count).map { unsafe WorkerCount(start[$0]) }
    }

    /// Calls `body` with the C form of a list, which is valid only during the call.
    static func withC<Value>(
        _ counts: [WorkerCount],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<TraceProcessor__WorkerCount>?>?, Int) ->
            Value
    ) -> Value {
        let structs = UnsafeMutablePointer<TraceProcessor__WorkerCount>.allocate(
            capacity: max(1, counts.count)
        )
        defer { unsafe structs.deallocate() }
        return unsafe MessageCodec.withCStrings(counts.map(\.resource)) { strings in
            var pointers: [UnsafeMutablePointer<TraceProcessor__WorkerCount>?] = unsafe []
            for (index, count) in counts.enumerated() {
                let target = unsafe structs + index
                unsafe trace_processor__worker_count__init(target)
                unsafe target.pointee.resource = strings[index]
                unsafe target.pointee.workers = UInt32(clamping: count.workers)
                unsafe pointers.append(target)
            }
            return unsafe pointers.withUnsafeMutableBufferPointer {
                unsafe body($0.baseAddress, $0.count)
            }
        }
    }
}

/// Request of `Scale`. Resources that are not named keep their workers.
package struct ScaleRequest: Sendable, Equatable {
    package var counts: [WorkerCount]

    package init(counts: [WorkerCount]) { self.counts = counts }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "ScaleRequest",
            trace_processor__scale_request__unpack,
            free: trace_processor__scale_request__free_unpacked
        ) { message in
            unsafe ScaleRequest(
                counts: WorkerCount.list(message.pointee.counts, message.pointee.n_counts)
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe WorkerCount.withC(counts) { pointers, pointerCount in
            var c = unsafe TraceProcessor__ScaleRequest()
            unsafe trace_processor__scale_request__init(&c)
            unsafe c.n_counts = pointerCount
            unsafe c.counts = pointers
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// Response of `Scale`: the new counts of all resources.
package struct ScaleResponse: Sendable, Equatable {
    package var counts: [WorkerCount]
    package var movedSlots: Int

    package init(counts: [WorkerCount], movedSlots: Int) {
        self.counts = counts
        self.movedSlots = movedSlots
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "ScaleResponse",
            trace_processor__scale_response__unpack,
            free: trace_processor__scale_response__free_unpacked
        ) { message in
            unsafe ScaleResponse(
                counts: WorkerCount.list(message.pointee.counts, message.pointee.n_counts),
                movedSlots: Int(message.pointee.moved_slots)
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe WorkerCount.withC(counts) { pointers, pointerCount in
            var c = unsafe TraceProcessor__ScaleResponse()
            unsafe trace_processor__scale_response__init(&c)
            unsafe c.n_counts = pointerCount
            unsafe c.counts = pointers
            unsafe c.moved_slots = UInt32(clamping: movedSlots)
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// Request of `Skip`: the LSN up to which a worker's events are set aside. The client sends the worker's name, so it
/// may be unknown.
package struct SkipRequest: Sendable, Equatable {
    package var worker: String
    package var to: LSN
    /// LSN up to which the aggregator has counted the worker's events as written; `LSN.max` if unknown.
    package var counted: LSN

    package init(worker: String, to: LSN, counted: LSN) {
        self.worker = worker
        self.to = to
        self.counted = counted
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "SkipRequest",
            trace_processor__skip_request__unpack,
            free: trace_processor__skip_request__free_unpacked
        ) { message in
            unsafe SkipRequest(
                worker: MessageCodec.text(message.pointee.worker),
                to: message.pointee.to_lsn,
                counted: message.pointee.counted_lsn
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([worker]) { strings in
            var c = unsafe TraceProcessor__SkipRequest()
            unsafe trace_processor__skip_request__init(&c)
            unsafe c.worker = strings[0]
            unsafe c.to_lsn = to
            unsafe c.counted_lsn = counted
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// Response of `Skip`: the events that were set aside.
package struct SkipResponse: Sendable, Equatable {
    package var from: LSN
    package var to: LSN
    package var events: UInt64
    /// Name of the dead letter; empty if there was nothing to set aside.
    package var letter: String
    /// Additional information in words; may be empty.
    package var note: String

    package init(from: LSN, to: LSN, events: UInt64, letter: String, note: String) {
        self.note = note
        self.from = from
        self.to = to
        self.events = events
        self.letter = letter
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "SkipResponse",
            trace_processor__skip_response__unpack,
            free: trace_processor__skip_response__free_unpacked
        ) { message in
            unsafe SkipResponse(
                from: message.pointee.from_lsn,
                to: message.pointee.to_lsn,
                events: message.pointee.events,
                letter: MessageCodec.text(message.pointee.letter),
                note: MessageCodec.text(message.pointee.note)
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([letter, note]) { strings in
            var c = unsafe TraceProcessor__SkipResponse()
            unsafe trace_processor__skip_response__init(&c)
            unsafe c.from_lsn = from
            unsafe c.to_lsn = to
            unsafe c.events = events
            unsafe c.letter = strings[0]
            unsafe c.note = strings[1]
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// Response of `Slots`, whose request is empty.
package struct SlotsResponse: Sendable, Equatable {
    package var holdings: [SlotHolding]

    package init(holdings: [SlotHolding]) { self.holdings = holdings }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        let read = unsafe try MessageCodec.unpack(
            bytes,
            as: "SlotsResponse",
            trace_processor__slots_response__unpack,
            free: trace_processor__slots_response__free_unpacked
        ) { message in
            unsafe (0..<message.pointee.n_holdings).map { index -> SlotHolding? in
                let holding = unsafe message.pointee.holdings[index]
                return unsafe WorkerName(MessageCodec.text(holding?.pointee.worker)).flatMap {
                    unsafe SlotHolding(
                        worker: $0,
                        slotText: MessageCodec.text(holding?.pointee.slots),
                        since: holding?.pointee.since_lsn ?? 0
                    )
                }
            }
        }
        holdings = try read.map { holding throws(TraceError) in
            guard let holding else {
                throw TraceError(.invalidArgument, "SlotsResponse: a holding is invalid")
            }
            return holding
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        let structs = UnsafeMutablePointer<TraceProcessor__SlotHolding>.allocate(
            capacity: max(1, holdings.count)
        )
        defer { unsafe structs.deallocate() }
        let texts = holdings.flatMap { ["\($0.worker)", $0.slotText] }
        return unsafe MessageCodec.withCStrings(texts) { strings in
            var pointers: [UnsafeMutablePointer<TraceProcessor__SlotHolding>?] = unsafe []
            for (index, holding) in holdings.enumerated() {
                let target = unsafe structs + index
                unsafe trace_processor__slot_holding__init(target)
                unsafe target.pointee.worker = strings[2 * index]
                unsafe target.pointee.slots = strings[2 * index + 1]
                unsafe target.pointee.since_lsn = holding.since
                unsafe pointers.append(target)
            }
            return unsafe pointers.withUnsafeMutableBufferPointer { list in
                var c = unsafe TraceProcessor__SlotsResponse()
                unsafe trace_processor__slots_response__init(&c)
                unsafe c.n_holdings = list.count
                unsafe c.holdings = list.baseAddress
                return unsafe MessageCodec.pack(&c)
            }
        }
    }
}

/// Request of `GetStatus`.
package struct StatusRequest: Sendable, Equatable {
    package var clientID: String

    package init(clientID: String = "") { self.clientID = clientID }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "StatusRequest",
            neu_tracer__status_request__unpack,
            free: neu_tracer__status_request__free_unpacked
        ) { message in unsafe StatusRequest(clientID: MessageCodec.text(message.pointee.client_id))
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([clientID]) { strings in
            var c = unsafe NeuTracer__StatusRequest()
            unsafe neu_tracer__status_request__init(&c)
            unsafe c.client_id = strings[0]
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// Response of `GetStatus`.
package struct StatusResponse: Sendable, Equatable {
    package var active: Bool
    /// Number of events received.
    package var receivedTraces: Int64
    package var serverVersion: String

    package init(active: Bool, receivedTraces: Int64, serverVersion: String) {
        self.active = active
        self.receivedTraces = receivedTraces
        self.serverVersion = serverVersion
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "StatusResponse",
            neu_tracer__status_response__unpack,
            free: neu_tracer__status_response__free_unpacked
        ) { message in
            unsafe StatusResponse(
                active: message.pointee.active != 0,
                receivedTraces: message.pointee.received_traces,
                serverVersion: MessageCodec.text(message.pointee.server_version)
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings([serverVersion]) { strings in
            var c = unsafe NeuTracer__StatusResponse()
            unsafe neu_tracer__status_response__init(&c)
            unsafe c.active = active ? 1 : 0
            unsafe c.received_traces = receivedTraces
            unsafe c.server_version = strings[0]
            return unsafe MessageCodec.pack(&c)
        }
    }
}

/// Response of `Finalize` and `Drain`, whose requests are empty.
package struct FinalizeResponse: Sendable, Equatable {
    package var window: UInt64
    /// Paths relative to the data directory.
    package var files: [String]

    package init(window: UInt64, files: [String]) {
        self.window = window
        self.files = files
    }

    package init(decoding bytes: [UInt8]) throws(TraceError) {
        self = unsafe try MessageCodec.unpack(
            bytes,
            as: "FinalizeResponse",
            bytesMax: MessageCodec.fileAnswerBytesMax,
            trace_processor__finalize_response__unpack,
            free: trace_processor__finalize_response__free_unpacked
        ) { message in
            unsafe FinalizeResponse(
                window: message.pointee.window,
                files: (0..<message.pointee.n_files).map { index in
                    unsafe MessageCodec.text(message.pointee.files[index])
                }
            )
        }
    }

    /// Serializes the message.
    package func encoded() -> [UInt8] {
        unsafe MessageCodec.withCStrings(files) { strings in
            var c = unsafe TraceProcessor__FinalizeResponse()
            unsafe trace_processor__finalize_response__init(&c)
            unsafe c.window = window
            unsafe c.n_files = strings.count
            unsafe c.files = strings.baseAddress
            return unsafe MessageCodec.pack(&c)
        }
    }
}
