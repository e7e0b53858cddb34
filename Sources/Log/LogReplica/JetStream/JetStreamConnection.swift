internal import CNATS
import ConfigurationText
import SystemIO
import TraceModel

/// A connection to a NATS cluster that sends messages and receives the answers to them. One thread; nothing of the C
/// library leaves it.
@safe
final class JetStreamConnection {
    /// An answer, copied out of the library's memory.
    struct Answer {
        /// 0, or the code of an answer without content.
        let status: Int
        let bytes: [UInt8]
        private let headers: [String: String]

        /// Returns the value of a header that was asked for.
        func header(_ name: String) -> String? { headers[name] }

        fileprivate init(_ answer: inout trace_nats_answer, headers names: [String]) {
            status = Int(unsafe answer.status)
            bytes = unsafe Array(
                UnsafeRawBufferPointer(start: answer.bytes, count: Int(answer.count))
            )
            var headers: [String: String] = [:]
            for name in names {
                if let value = unsafe trace_nats_header(&answer, name) {
                    headers[name] = unsafe String(cString: value)
                }
            }
            self.headers = headers
        }
    }

    private static let connectMilliseconds: Int64 = 2_000
    /// How long the answer to a request is waited for.
    private static let requestMilliseconds: Int64 = 5_000
    /// Set in the tickets of requests.
    private static let requestBit: UInt64 = 1 << 63

    private let handle: OpaquePointer
    private var nextRequest: UInt64 = 0
    /// Answers to messages that came while a request was waited for.
    private var early: [(ticket: UInt64, answer: Answer)] = []
    /// Headers of answers that are copied.
    private let headers: [String]

    /// Connects to one of the servers. Blocks.
    /// - Parameters:
    ///   - urls: Addresses as the library takes them.
    ///   - headers: Names of the headers of answers that are needed.
    /// - Throws: `.unsuitable` if the library is not installed; `.unavailable` if no server can be reached.
    init(_ urls: [String], name: String, headers: [String]) throws(ReplicaError) {
        var problem: UnsafePointer<CChar>?
        var isLoaded = false
        let opened = unsafe Self.withCStrings(urls, []) { pointers in
            unsafe trace_nats_open(
                pointers.map { unsafe Optional($0) },
                Int32(pointers.count),
                name,
                Self.connectMilliseconds,
                &problem,
                &isLoaded
            )
        }
        guard let opened = unsafe opened else {
            let text = unsafe problem.map { unsafe String(cString: $0) } ?? "no reason is known"
            guard isLoaded else {
                throw .unsuitable(text, remedy: "Install Debian's package libnats3.4")
            }
            throw .unavailable("no NATS server can be reached: \(text)")
        }
        unsafe handle = unsafe opened
        self.headers = headers
    }

    deinit { unsafe trace_nats_close(handle) }

    /// The server's limit for one message with its headers.
    var payloadMax: Int { Int(unsafe trace_nats_payload_max(handle)) }

    /// Sends a message whose answer comes by `next` with the same ticket, which is below 2^63. Returns why it was not
    /// sent; nil if it was. The bytes are copied.
    func send(
        _ subject: String,
        _ bytes: UnsafeRawBufferPointer,
        headers: [(name: String, value: String)] = [],
        ticket: UInt64
    ) -> String? {
        // The library would keep it until it is connected again, which may be long after its time.
        guard unsafe trace_nats_is_connected(handle) else { return "no NATS server is connected" }
        let lines = headers.map { "\($0.name): \($0.value)\n" }.joined()
        let problem = unsafe trace_nats_send(
            handle,
            subject,
            ticket,
            lines,
            bytes.baseAddress,
            Int32(bytes.count)
        )
        return unsafe problem.map { unsafe String(cString: $0) }
    }

    /// Returns the next answer to a message; nil if there is none in time.
    func next(milliseconds: Int64) -> (ticket: UInt64, answer: Answer)? {
        if !early.isEmpty { return early.removeFirst() }
        guard let answer = receive(milliseconds: milliseconds), answer.ticket & Self.requestBit == 0
        else { return nil }
        return answer
    }

    private func receive(milliseconds: Int64) -> (ticket: UInt64, answer: Answer)? {
        var answer = unsafe trace_nats_answer()
        guard unsafe trace_nats_next(handle, milliseconds, &answer) else { return nil }
        defer { unsafe trace_nats_release(&answer) }
        return unsafe (answer.ticket, Answer(&answer, headers: headers))
    }

    /// Sends a request and waits for its answer. Blocks.
    /// - Throws: `.unavailable` if none comes.
    func request(_ subject: String, _ text: String = "") throws(ReplicaError) -> Answer {
        nextRequest += 1
        let ticket = nextRequest | Self.requestBit
        let problem = unsafe Array(text.utf8).withUnsafeBytes {
            unsafe send(subject, $0, ticket: ticket)
        }
        if let problem { throw .unavailable(problem) }
        let deadline = WallClock.monotonic() + Self.requestMilliseconds * 1_000_000
        while true {
            let rest = (deadline - WallClock.monotonic()) / 1_000_000
            guard rest > 0 else { throw .unavailable("NATS does not answer \(subject)") }
            guard let received = receive(milliseconds: rest) else { continue }
            if received.ticket == ticket { return received.answer }
            if received.ticket & Self.requestBit == 0 { early.append(received) }
        }
    }

    /// Calls `body` with the texts as C strings, which are valid during the call.
    private static func withCStrings<Result>(
        _ texts: [String],
        _ pointers: [UnsafePointer<CChar>],
        _ body: ([UnsafePointer<CChar>]) -> Result
    ) -> Result {
        guard let text = texts.first else { return unsafe body(pointers) }
        return unsafe text.withCString { pointer in
            unsafe withCStrings(Array(texts.dropFirst()), pointers + [pointer], body)
        }
    }
}

/// A member of a JSON object in an answer.
extension ConfigurationNode {
    subscript(_ key: String) -> ConfigurationNode? {
        guard case .object(let members) = content else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// A number without a fraction that is not negative.
    var unsigned: UInt64? {
        guard case .number(let number) = content else { return nil }
        return UInt64(exactly: number)
    }

    /// The text of a string.
    var text: String? {
        guard case .string(let text) = content else { return nil }
        return text
    }

    /// Whether it is `true`.
    var isTrue: Bool {
        guard case .bool(true) = content else { return false }
        return true
    }

    /// The elements of an array.
    var elements: [ConfigurationNode] {
        guard case .array(let elements) = content else { return [] }
        return elements
    }
}
