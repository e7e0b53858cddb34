import Compression
import HTTPServing
import HTTPTypes
import Synchronization
import SystemIO
import TraceFiles
import TraceModel

/// Answers `trace`: one Chrome trace of all resources, sent while it is made. Any thread.
final class TraceQuery: Sendable {
    /// The names of its parameters.
    static let parameters = ["from", "to", "host", "pid", "limit"]
    static let name = "trace"

    private let threads: QueryThreads
    private let catalog: WindowCatalog
    private let openWindow: OpenWindow
    private let running = Mutex(0)

    /// - Parameter threads: Those that run queries.
    init(_ threads: QueryThreads, _ catalog: WindowCatalog, _ openWindow: OpenWindow) {
        self.threads = threads
        self.catalog = catalog
        self.openWindow = openWindow
    }

    /// Returns the reply, once the trace has begun. `isCompressed`: the client takes gzip.
    /// - Throws: `QueryFailure`; `TraceError` for wrong parameters and damaged files, if that is known by then.
    func reply(
        _ parameters: QueryParameters,
        _ peer: HTTPPeer,
        isCompressed: Bool,
        isHead: Bool
    ) async throws -> HTTPReply {
        let selection = try Self.selection(parameters)
        var headers: HTTPFields = [
            .contentType: "application/json", .cacheControl: "no-store", .vary: "Accept-Encoding",
            .contentDisposition: "attachment; filename=\"trace.json\"",
        ]
        if isCompressed { headers[.contentEncoding] = "gzip" }
        let pipe = PiecePipe()
        let window = Shared<OpenWindow.State>()
        if !isHead { try begin(selection, peer, pipe, window, isCompressed: isCompressed) }
        // What is wrong at the begin has a status of its own.
        let first = Shared<[UInt8]>(isHead ? [] : try await pipe.next())
        if let state = window.take() { state.add(to: &headers) }
        let stream = HTTPStream {
            if let piece = first.take() { return piece }
            return try await pipe.next()
        }
        return HTTPReply(status: .ok, headers: headers, stream: stream)
    }

    private static func selection(
        _ parameters: QueryParameters
    ) throws(TraceError) -> CombinedTraceSelection {
        let span = try parameters.span()
        let limit = try parameters.count(
            "limit",
            min: Limits.traceBytesMin,
            standard: Limits.consoleTraceBytes,
            max: Limits.consoleTraceBytesMax
        )
        return CombinedTraceSelection(
            from: span.from,
            to: span.to,
            pid: try parameters.processID(),
            host: parameters.text("host"),
            bytesMax: limit
        )
    }

    /// Has a thread make the trace.
    private func begin(
        _ selection: CombinedTraceSelection,
        _ peer: HTTPPeer,
        _ pipe: PiecePipe,
        _ window: Shared<OpenWindow.State>,
        isCompressed: Bool
    ) throws(QueryFailure) {
        // A trace takes as long as its client does, so some threads are left for other queries.
        let isFree = running.withLock { running in
            guard running < Limits.consoleTracesMax else { return false }
            running += 1
            return true
        }
        guard isFree else { throw .busy }
        Task {
            do {
                try await threads.run {
                    try self.make(selection, peer, pipe, window, isCompressed: isCompressed)
                }
                pipe.finish(.success(()))
            } catch { pipe.finish(.failure(error)) }
            running.withLock { $0 -= 1 }
        }
    }

    private func make(
        _ selection: CombinedTraceSelection,
        _ peer: HTTPPeer,
        _ pipe: PiecePipe,
        _ window: Shared<OpenWindow.State>,
        isCompressed: Bool
    ) throws {
        let context = QueryContext(peer: peer, seconds: Limits.consoleTraceSeconds)
        var dueAt = WallClock.monotonic() + Int64(Limits.consoleTraceMakingSeconds * 1e9)
        var isCounting = false
        let windows = try catalog.read(checkCancelled: { try context.check() }).windows
        window.put(try openWindow.close(upTo: selection.to, after: windows, context))
        let compressor = try isCompressed ? GzipWriter() : nil
        let trace = unsafe CombinedTrace(
            selection,
            windows: windows,
            budget: context.budget(),
            isOverdue: { isCut in
                let now = WallClock.monotonic()
                if isCut, !isCounting {
                    isCounting = true
                    dueAt = min(dueAt, now + Int64(Limits.consoleTraceCountingSeconds * 1e9))
                }
                return now >= dueAt
            },
            checkCancelled: { try context.check() },
            write: { bytes in
                guard let compressor else { return try unsafe pipe.put(Array(bytes), context) }
                try unsafe compressor.compress(bytes, isLast: false) {
                    try unsafe pipe.put(Array($0), context)
                }
            }
        )
        _ = try trace.run()
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        try unsafe compressor?.compress(nothing, isLast: true) {
            try unsafe pipe.put(Array($0), context)
        }
    }
}

/// A value that another thread takes, once.
private final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value?>

    init(_ value: Value? = nil) { self.value = Mutex(value) }

    func put(_ value: Value) { self.value.withLock { $0 = value } }

    func take() -> Value? {
        value.withLock { value in
            defer { value = nil }
            return value
        }
    }
}
