internal import CTraceProtos

/// How many workers a resource has, or is to have. The sender names the resource, so it may be none.
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

    /// Calls `body` with the C form of a list, valid only meanwhile.
    static func withC<Value>(
        _ counts: [WorkerCount],
        _ body: (
            UnsafeMutablePointer<UnsafeMutablePointer<TraceProcessor__WorkerCount>?>?, Int
        ) -> Value
    ) -> Value {
        let structs = UnsafeMutablePointer<TraceProcessor__WorkerCount>
            .allocate(capacity: max(1, counts.count))
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
