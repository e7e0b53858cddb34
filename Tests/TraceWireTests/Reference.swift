import CTraceProtos
import TraceModel
import TraceWire

/// protobuf-c as reference: what we accept it must accept, with the same values.
enum Reference {
    enum Verdict: Equatable {
        case accepted
        case refused
        /// Refused by us alone, for the reason given.
        case stricter(String)
        /// We are wrong.
        case different(String)
    }

    static func evaluate(_ batch: UnsafeRawBufferPointer) -> Verdict {
        let start = batch.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let unpacked = neu_tracer__trace_batch__unpack(nil, batch.count, start)
        defer { if let unpacked { neu_tracer__trace_batch__free_unpacked(unpacked, nil) } }
        var index = EventIndex()
        let summary: BatchSummary
        do throws(WireError) { summary = try BatchScanner.scan(batch, into: &index) } catch {
            guard unpacked != nil else { return .refused }
            let isAllowed =
                error.reason == .limit || error.description.hasSuffix("invalid field number")
                || error.description == "semantics: no known value"
                || error.description.hasSuffix("overlong varint")
                || isBool(error.description)
            let text = error.description
            return isAllowed ? .stricter(text) : .different("refused by us alone: \(text)")
        }
        guard let reference = unpacked?.pointee else {
            return .different("refused by the reference alone")
        }
        return difference(batch, summary, index, reference).map { .different($0) } ?? .accepted
    }

    /// protobuf-c takes a bool of any wire type.
    private static func isBool(_ error: String) -> Bool {
        ["is_send", "is_bursty", "leak_suspected", "is_last_batch"].contains {
            error.hasSuffix("\($0): wrong wire type")
        }
    }

    private static func difference(
        _ batch: UnsafeRawBufferPointer,
        _ summary: BatchSummary,
        _ index: borrowing EventIndex,
        _ reference: NeuTracer__TraceBatch
    ) -> String? {
        var own = EventFacts()
        own.add(summary.clientID)
        own.add(summary.sequence)
        own.add(summary.isLastBatch)
        own.add(summary.host)
        var theirs = EventFacts()
        theirs.add(reference.client_id)
        theirs.add(reference.sequence)
        theirs.add(reference.is_last_batch != 0)
        theirs.add(reference.host)
        own.add(summary.semantics.map { Int64($0.rawValue) } ?? 0)
        theirs.add(Int64(reference.semantics.rawValue))
        var names = NameFields(in: batch)
        while let (entry, name) = names.next() {
            own.add(UInt64(entry.processID))
            own.add(UInt64(name.threadID))
            own.add(name.name)
            own.add(Int64(name.sortIndex))
        }
        for name in list(reference.names, reference.n_names) {
            theirs.add(UInt64(name.pid))
            theirs.add(UInt64(name.tid))
            theirs.add(name.name)
            theirs.add(Int64(name.sort_index))
        }
        guard summary.names.count == reference.n_names else { return "number of names" }
        if own != theirs { return "the batch's own fields" }
        let expected = facts(reference)
        for resource in Resource.allCases {
            let wanted = expected[Int(resource.rawValue)]
            guard summary.count(of: resource) == wanted.count else {
                return "number of \(resource) events"
            }
            let found = facts(resource, in: batch)
            guard found.count == wanted.count else { return "\(resource) events in the walk" }
            for position in wanted.indices where found[position] != wanted[position] {
                return "\(resource) event \(position): \(found[position]), \(wanted[position])"
            }
        }
        return indexDifference(batch, index, expected)
    }

    /// Each entry's bytes, decoded by themselves, must be that event.
    private static func indexDifference(
        _ batch: UnsafeRawBufferPointer,
        _ index: borrowing EventIndex,
        _ expected: [[EventFacts]]
    ) -> String? {
        var seen = [Int](repeating: 0, count: Resource.count)
        for position in 0..<index.count {
            let entry = index[position]
            let range = Int(entry.offset)..<Int(entry.offset + entry.length)
            let share = UnsafeRawBufferPointer(rebasing: batch[range])
            let row = Int(entry.resource.rawValue)
            let wanted = expected[row][seen[row]]
            seen[row] += 1
            guard facts(entry.resource, in: share) == [wanted] else {
                return "entry \(position) alone"
            }
            guard UInt64(entry.processID) == wanted.processID else {
                return "process id of entry \(position)"
            }
        }
        return nil
    }

    private static func facts(
        _ resource: Resource,
        in batch: UnsafeRawBufferPointer
    ) -> [EventFacts] {
        var payloads = EventPayloads(of: resource, in: batch)
        var facts: [EventFacts] = []
        while let payload = payloads.next() {
            facts.append(EventFacts(resource, decoding: payload, readableUntil: payloads.limit))
        }
        return facts
    }

    /// By `Resource.rawValue`.
    private static func facts(_ batch: NeuTracer__TraceBatch) -> [[EventFacts]] {
        [
            list(batch.trace_data, batch.n_trace_data).map { EventFacts($0) },
            list(batch.cpu_trace_data, batch.n_cpu_trace_data).map { EventFacts($0) },
            list(batch.memory_trace_data, batch.n_memory_trace_data).map { EventFacts($0) },
            list(batch.network_trace_data, batch.n_network_trace_data).map { EventFacts($0) },
            list(batch.io_trace_data, batch.n_io_trace_data).map { EventFacts($0) },
            list(batch.gpu_trace_data, batch.n_gpu_trace_data).map { EventFacts($0) },
        ]
    }

    private static func list<Message>(
        _ array: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?,
        _ count: Int
    ) -> [Message] { (0..<count).compactMap { array?[$0]?.pointee } }
}
