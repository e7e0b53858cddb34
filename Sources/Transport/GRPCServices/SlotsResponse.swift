internal import CTraceProtos
package import TraceModel

/// The answer to `Slots`, whose request is empty: no bytes at all.
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
                throw TraceError(.invalidArgument, "SlotsResponse: a holding makes no sense")
            }
            return holding
        }
    }

    package func encoded() -> [UInt8] {
        let structs = UnsafeMutablePointer<TraceProcessor__SlotHolding>
            .allocate(capacity: max(1, holdings.count))
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
                let count = unsafe trace_processor__slots_response__get_packed_size(&c)
                return unsafe MessageCodec.pack(count) {
                    unsafe trace_processor__slots_response__pack(&c, $0)
                }
            }
        }
    }
}
