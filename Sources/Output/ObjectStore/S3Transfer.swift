internal import CCurl
import Glibc
import SystemIO
import TraceModel

/// The body, the response and the callbacks of one request. libcurl calls it on the thread that performs the request.
@safe
final class S3Transfer {
    /// Receives the pieces of a response's body.
    @safe
    struct Sink {
        /// Returns false to end the transfer.
        let take: (UnsafeRawBufferPointer) -> Bool

        init(_ take: @escaping (UnsafeRawBufferPointer) -> Bool) { unsafe self.take = unsafe take }
    }

    /// A part of a file that is a request's body.
    struct FilePart {
        let path: String
        let range: Range<Int>
    }

    /// Why the transfer was ended on this side.
    private(set) var problem: TraceError?
    /// Size of the request's body; nil if it has none.
    let bodyBytes: Int?

    private let path: String
    private let descriptor: Int32
    private let start: Int
    private let bytes: [UInt8]
    private var position = 0
    private var status = 0
    private var headers: [String: String] = [:]
    private var received: [UInt8] = []
    private let bytesMax: Int
    private let isCancelled: @Sendable () -> Bool
    private let sink: Sink?

    /// - Throws: `TraceError(.notFound)` if the file cannot be opened.
    init(
        file: FilePart?,
        body: [UInt8]?,
        bytesMax: Int,
        isCancelled: @escaping @Sendable () -> Bool,
        sink: Sink?
    ) throws(TraceError) {
        path = file?.path ?? ""
        bytes = body ?? []
        bodyBytes = file?.range.count ?? body?.count
        start = file?.range.lowerBound ?? 0
        self.bytesMax = bytesMax
        self.isCancelled = isCancelled
        self.sink = sink
        descriptor = file.map { unsafe open($0.path, O_RDONLY | O_CLOEXEC) } ?? -1
        guard file == nil || descriptor >= 0 else {
            throw TraceError(
                .notFound,
                "a file to be uploaded can't be read",
                cause: SystemError(errno: errno, call: "open", subject: path)
            )
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Returns what came. An error's body is read whole even where there is a sink for the object.
    func response(status: Int) -> S3Response {
        S3Response(status: status, headers: headers, body: received)
    }

    // MARK: Callbacks

    /// Copies the next bytes of the body; nil ends the transfer.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        let wanted = min(buffer.count, (bodyBytes ?? 0) - position)
        guard wanted > 0 else { return 0 }
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
        var count = wanted
        if descriptor >= 0 {
            count = unsafe pread(descriptor, target.baseAddress, wanted, start + position)
            guard count > 0 else {
                problem = TraceError(.corrupt, "\(path) became shorter while it was uploaded")
                return nil
            }
        } else {
            unsafe bytes.withUnsafeBytes {
                unsafe target.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: $0[position..<position + wanted])
                )
            }
        }
        position += count
        return count
    }

    /// Moves back to a place in the body, for a request that libcurl sends again.
    func seek(to offset: Int) { position = offset }

    func header(_ line: UnsafeRawBufferPointer) {
        let text = unsafe String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // A new head, after 100 Continue.
            status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            headers = [:]
            return
        }
        guard headers.count < 100, let colon = text.firstIndex(of: ":") else { return }
        let value = text[text.index(after: colon)...]
            .drop { $0 == " " }.prefix { $0 != "\r\n" && $0 != "\r" && $0 != "\n" }
        headers[text[..<colon].lowercased()] = String(value)
    }

    /// Takes a piece of the response's body; returns false to end the transfer.
    func write(_ piece: UnsafeRawBufferPointer) -> Bool {
        if let sink, (200..<300).contains(status) { return unsafe sink.take(piece) }
        guard received.count + piece.count <= bytesMax else {
            problem = TraceError(.exhausted, "an answer is larger than \(bytesMax) bytes")
            return false
        }
        unsafe received.append(contentsOf: piece)
        return true
    }

    var isToEnd: Bool { isCancelled() }
}

/// Performs one request.
enum S3Request {
    /// What libcurl reports.
    struct Result {
        let outcome: trace_curl_outcome
        let status: Int
        let message: String
    }

    static func perform(
        _ handle: UnsafeMutableRawPointer,
        method: String,
        url: String,
        signature: String,
        access: ObjectStoreAccess,
        lines: [String],
        transfer: S3Transfer,
        seconds: (connect: Int, stall: Int)
    ) -> Result {
        var request = unsafe trace_curl_request()
        unsafe request.body_bytes = Int64(transfer.bodyBytes ?? -1)
        unsafe request.connect_seconds = seconds.connect
        unsafe request.stall_seconds = seconds.stall
        unsafe request.context = Unmanaged.passUnretained(transfer).toOpaque()
        unsafe request.read = { buffer, size, count, context in
            guard let buffer = unsafe buffer, let transfer = unsafe S3Request.transfer(context)
            else { return trace_curl_read_abort() }
            let target = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: size * count)
            return unsafe transfer.read(into: target) ?? trace_curl_read_abort()
        }
        unsafe request.seek = { context, offset, origin in
            guard origin == SEEK_SET, let transfer = unsafe S3Request.transfer(context) else {
                return 1
            }
            transfer.seek(to: Int(offset))
            return 0
        }
        unsafe request.write = { bytes, size, count, context in
            guard let transfer = unsafe S3Request.transfer(context) else { return 0 }
            let piece = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
            return unsafe transfer.write(piece) ? size * count : 0
        }
        unsafe request.header = { bytes, size, count, context in
            let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
            unsafe S3Request.transfer(context)?.header(line)
            return size * count
        }
        unsafe request.is_cancelled = { context, _, _, _, _ in
            unsafe S3Request.transfer(context)?.isToEnd == true ? 1 : 0
        }
        var result = trace_curl_result()
        let headers = lines.map { "\($0)\n" }.joined()
        // The strings in the order of the fields that point to them.
        let texts = [method, url, signature, access.keyID, access.secret, headers]
        withExtendedLifetime(transfer) {
            unsafe withCStrings(texts, []) { texts in
                unsafe request.method = unsafe texts[0]
                unsafe request.url = unsafe texts[1]
                unsafe request.signature = unsafe texts[2]
                unsafe request.key_id = unsafe texts[3]
                unsafe request.secret = unsafe texts[4]
                unsafe request.headers = unsafe texts[5]
                unsafe trace_curl_perform(handle, &request, &result)
            }
        }
        let message = unsafe withUnsafeBytes(of: &result.message) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return Result(outcome: result.outcome, status: result.status, message: message)
    }

    /// Calls `body` with the texts as C strings, which are valid during the call.
    private static func withCStrings(
        _ texts: [String],
        _ pointers: [UnsafePointer<CChar>],
        _ body: ([UnsafePointer<CChar>]) -> Void
    ) {
        guard let text = texts.first else { return unsafe body(pointers) }
        unsafe text.withCString { pointer in
            unsafe withCStrings(Array(texts.dropFirst()), pointers + [pointer], body)
        }
    }

    private static func transfer(_ context: UnsafeMutableRawPointer?) -> S3Transfer? {
        unsafe context.map {
            unsafe Unmanaged<S3Transfer>.fromOpaque($0).takeUnretainedValue()
        }
    }
}
