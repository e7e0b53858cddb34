internal import CCurl
import Glibc
import SystemIO
package import TraceModel

/// Reads and writes the objects below one address in an S3 store. Requests are signed by libcurl; bodies go from and to
/// files or callers in pieces, so that memory does not depend on sizes. One thread at a time; every method blocks.
///
/// A request that fails for a reason that may pass is repeated, three times at most. Errors say what to do about them.
@safe
package final class S3Client {
    /// An object's name below the client's prefix, and its size.
    package struct Object: Equatable, Sendable {
        package let name: String
        package let bytes: Int
    }

    private static let attemptsMax = 4
    private static let connectSeconds = 10
    private static let stallSeconds = 30

    private let address: ObjectStoreAddress
    private let access: ObjectStoreAccess
    private let handle: UnsafeMutableRawPointer
    private let isCancelled: @Sendable () -> Bool
    private let partBytes: Int

    /// Opens a client; no request is sent yet.
    /// - Parameters:
    ///   - partBytes: Size of the parts in which larger files are uploaded.
    ///   - isCancelled: Called about once a second; if it returns true, the current request ends with an error.
    /// - Throws: `TraceError(.configuration)` if libcurl is not installed.
    package init(
        _ address: ObjectStoreAddress,
        _ access: ObjectStoreAccess,
        partBytes: Int = Limits.objectPartBytes,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(TraceError) {
        self.address = address
        self.access = access
        self.partBytes = partBytes
        self.isCancelled = isCancelled
        var problem: UnsafePointer<CChar>?
        guard let handle = unsafe trace_curl_open(&problem) else {
            throw TraceError(
                .configuration,
                unsafe problem.map { unsafe String(cString: $0) } ?? "libcurl does not start",
                remedy: "Install Debian's package libcurl4"
            )
        }
        unsafe self.handle = unsafe handle
    }

    deinit { unsafe trace_curl_close(handle) }

    // MARK: Operations

    /// Uploads a file, replacing an object of that name. `bytes` is the size it has to have.
    package func put(file path: String, bytes: Int, as name: String) throws(TraceError) {
        guard bytes > partBytes else {
            _ = try send("PUT", name, file: S3Transfer.FilePart(path: path, range: 0..<bytes))
            return
        }
        let begun = try send("POST", name, query: "uploads=")
        guard let upload = begun.element("UploadId") else { throw unintelligible(begun) }
        let id = "uploadId=\(Self.encoded(upload))"
        do throws(TraceError) {
            var list = "<CompleteMultipartUpload>"
            for (index, start) in stride(from: 0, to: bytes, by: partBytes).enumerated() {
                let part = try send(
                    "PUT",
                    name,
                    query: "partNumber=\(index + 1)&\(id)",
                    file: S3Transfer.FilePart(
                        path: path,
                        range: start..<min(start + partBytes, bytes)
                    )
                )
                guard let tag = part.headers["etag"] else { throw unintelligible(part) }
                list +=
                    "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(XMLText.escaped(tag))</ETag></Part>"
            }
            list += "</CompleteMultipartUpload>"
            let done = try send("POST", name, query: id, body: Array(list.utf8))
            // S3 may answer 200 before it knows of a failure.
            if done.element("Code") != nil { throw error(of: done, name) }
        } catch {
            // If this fails too, the bucket's lifecycle rule removes the parts.
            _ = try? send("DELETE", name, query: id)
            throw error
        }
    }

    /// Writes a small object, in place of one of the same name.
    package func put(_ bytes: [UInt8], as name: String) throws(TraceError) {
        _ = try send("PUT", name, body: bytes)
    }

    /// Writes an object; returns false, and leaves the other one, if there is one of that name.
    package func putIfAbsent(_ bytes: [UInt8], as name: String) throws(TraceError) -> Bool {
        let response = try send(
            "PUT",
            name,
            body: bytes,
            headers: ["If-None-Match: *"],
            accepting: [412]
        )
        return response.status != 412
    }

    /// Returns a small object; nil if there is none of that name.
    /// - Throws: `TraceError(.exhausted)` if it is larger than `bytesMax`.
    package func contents(of name: String, bytesMax: Int) throws(TraceError) -> [UInt8]? {
        let response = try send("GET", name, bytesMax: bytesMax, accepting: [404])
        if response.status == 200 { return response.body }
        guard response.element("Code") != "NoSuchBucket" else { throw error(of: response, name) }
        return nil
    }

    /// Passes a range of an object to `sink` in pieces. A request that breaks off is continued where it stands.
    /// - Throws: `TraceError(.notFound)` if there is no such object; whatever `sink` throws.
    package func get(
        _ name: String,
        range: Range<Int>,
        into sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard !range.isEmpty else { return }
        var position = range.lowerBound
        var failure: (any Error)?
        try unsafe withoutActuallyEscaping(sink) { sink in
            var attempt = 1
            while position < range.upperBound {
                let start = position
                do {
                    let pieces = unsafe S3Transfer.Sink { piece in
                        do {
                            try unsafe sink(piece)
                            position += piece.count
                            return true
                        } catch {
                            failure = error
                            return false
                        }
                    }
                    _ = try send(
                        "GET",
                        name,
                        headers: ["Range: bytes=\(position)-\(range.upperBound - 1)"],
                        attempts: 1,
                        sink: pieces
                    )
                    guard position > start else {
                        throw TraceError(.corrupt, "\(place(name)) is shorter than its window says")
                    }
                } catch let error as TraceError {
                    if let failure { throw failure }
                    // What made progress does not count as a failed attempt.
                    attempt = position > start ? 1 : attempt + 1
                    guard error.isRetryable, attempt <= Self.attemptsMax else { throw error }
                    try pause(before: attempt)
                }
            }
        }
    }

    /// Returns the size of an object; nil if there is none of that name.
    package func size(of name: String) throws(TraceError) -> Int? {
        let response = try send("HEAD", name, accepting: [404])
        guard response.status == 200 else { return nil }
        return response.headers["content-length"].flatMap { Int($0) }
    }

    /// Calls `body` with the objects whose names begin with `prefix`, in the order of their names.
    /// - Parameter start: Names up to this one are left out.
    package func list(
        _ prefix: String,
        after start: String = "",
        _ body: (Object) throws -> Void
    ) throws {
        var token: String?
        repeat {
            let (text, next) = try page(prefix, start, token, delimiter: nil)
            for entry in XMLText.elements("Contents", in: text) {
                guard let key = XMLText.elements("Key", in: entry).first,
                    let bytes = XMLText.elements("Size", in: entry).first.flatMap({ Int($0) }),
                    let name = self.name(ofKey: key)
                else { continue }
                try body(Object(name: name, bytes: bytes))
            }
            token = next
        } while token != nil
    }

    /// Returns what stands between `prefix`, which ends in a slash or is empty, and the next slash of objects' names.
    package func directories(_ prefix: String) throws(TraceError) -> [String] {
        var names: [String] = []
        var token: String?
        repeat {
            let (text, next) = try page(prefix, "", token, delimiter: "/")
            for entry in XMLText.elements("CommonPrefixes", in: text) {
                guard let key = XMLText.elements("Prefix", in: entry).first,
                    let name = self.name(ofKey: key)
                else { continue }
                names.append(String(name.dropFirst(prefix.count).dropLast()))
            }
            token = next
        } while token != nil
        return names
    }

    // MARK: Requests

    private func page(
        _ prefix: String,
        _ start: String,
        _ token: String?,
        delimiter: String?
    ) throws(TraceError) -> (text: String, next: String?) {
        // Parameters are signed in this order, which is that of their names.
        var parts: [String] = []
        if let token { parts.append("continuation-token=\(Self.encoded(token))") }
        if let delimiter { parts.append("delimiter=\(Self.encoded(delimiter))") }
        parts += ["list-type=2", "prefix=\(Self.encoded(address.key(prefix)))"]
        if !start.isEmpty { parts.append("start-after=\(Self.encoded(address.key(start)))") }
        let response = try send(
            "GET",
            nil,
            query: parts.joined(separator: "&"),
            bytesMax: Limits.objectListBytesMax
        )
        return (
            String(decoding: response.body, as: UTF8.self),
            response.element("IsTruncated") == "true"
                ? response.element("NextContinuationToken") : nil
        )
    }

    private func name(ofKey key: String) -> String? {
        guard !address.prefix.isEmpty else { return key }
        let start = "\(address.prefix)/"
        return key.hasPrefix(start) ? String(key.dropFirst(start.count)) : nil
    }

    /// Sends a request, again where that can help, and returns a response of status 200 to 299, or one of `accepting`.
    private func send(
        _ method: String,
        _ name: String?,
        query: String = "",
        file: S3Transfer.FilePart? = nil,
        body: [UInt8]? = nil,
        headers: [String] = [],
        bytesMax: Int = Limits.objectAnswerBytesMax,
        accepting: [Int] = [],
        attempts: Int = S3Client.attemptsMax,
        sink: S3Transfer.Sink? = nil
    ) throws(TraceError) -> S3Response {
        var attempt = 1
        while true {
            do throws(TraceError) {
                let transfer = try S3Transfer(
                    file: file,
                    // A POST always has a body, perhaps an empty one.
                    body: body ?? (method == "POST" ? [] : nil),
                    bytesMax: bytesMax,
                    isCancelled: isCancelled,
                    sink: sink
                )
                let response = try perform(method, name, query, headers, transfer)
                if (200..<300).contains(response.status) || accepting.contains(response.status) {
                    return response
                }
                throw error(of: response, name)
            } catch {
                guard error.isRetryable, attempt < attempts else { throw error }
                attempt += 1
                try pause(before: attempt)
            }
        }
    }

    private func perform(
        _ method: String,
        _ name: String?,
        _ query: String,
        _ headers: [String],
        _ transfer: S3Transfer
    ) throws(TraceError) -> S3Response {
        var lines = headers + ["x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        if let token = access.sessionToken { lines.append("x-amz-security-token: \(token)") }
        let path = name.map { "/" + Self.encoded(address.key($0), keepingSlashes: true) } ?? "/"
        let result = unsafe S3Request.perform(
            handle,
            method: method,
            url: "\(bucketURL)\(path)\(query.isEmpty ? "" : "?\(query)")",
            signature: "aws:amz:\(access.region):s3",
            access: access,
            lines: lines,
            transfer: transfer,
            seconds: (Self.connectSeconds, Self.stallSeconds)
        )
        switch result.outcome {
        case TRACE_CURL_DONE: return transfer.response(status: result.status)
        case TRACE_CURL_CANCELLED:
            throw TraceError(.configuration, "the transfer was given up, as this process ends")
        case TRACE_CURL_NO_CERTIFICATE:
            throw TraceError(
                .configuration,
                "the certificate of \(host) is not accepted: \(result.message)",
                remedy:
                    "Put its authority's certificate into the machine's (update-ca-certificates)"
            )
        default:
            if let problem = transfer.problem { throw problem }
            // Without the time it took, a reason that stays the same has the same text.
            let reason = result.message.replacing(#/ after \d+ ms/#, with: "")
            throw TraceError(
                .unreachable,
                "the object store \(host) is not reached: \(reason)",
                remedy: "Check AWS_ENDPOINT_URL and the network"
            )
        }
    }

    /// Waits before another attempt: a quarter of a second, then twice as long each time.
    private func pause(before attempt: Int) throws(TraceError) {
        let end = WallClock.monotonic() + Int64(250_000_000) << Int64(attempt - 2)
        while WallClock.monotonic() < end {
            if isCancelled() {
                throw TraceError(.configuration, "the transfer was given up, as this process ends")
            }
            usleep(50_000)
        }
    }

    /// The scheme, host and, where it stands in the path, the bucket of all requests.
    private var bucketURL: String {
        if let endpoint = access.endpoint { return "\(endpoint)/\(address.bucket)" }
        let service = "s3.\(access.region).amazonaws.com"
        // A certificate covers one label before the service's name.
        return address.bucket.contains(".")
            ? "https://\(service)/\(address.bucket)" : "https://\(address.bucket).\(service)"
    }

    private var host: String { access.endpoint ?? "s3.\(access.region).amazonaws.com" }

    private func place(_ name: String?) -> String {
        name.map { "\(address)/\($0)" } ?? "\(address)"
    }

    // MARK: Errors

    /// Explains a response that reports a failure.
    private func error(of response: S3Response, _ name: String?) -> TraceError {
        let code = response.element("Code") ?? ""
        let text = response.element("Message").map { ": \($0)" } ?? ""
        let answer = "\(host) answered \(response.status)\(code.isEmpty ? "" : " \(code)")\(text)"
        switch (response.status, code) {
        case (_, "NoSuchBucket"):
            return TraceError(
                .configuration,
                "there is no bucket \(address.bucket) in the object store (\(answer))",
                remedy: "Create it, or correct --object-store"
            )
        case (_, "InvalidAccessKeyId"), (_, "SignatureDoesNotMatch"), (_, "InvalidToken"),
            (401, _):
            return TraceError(
                .configuration,
                "the object store does not accept the credentials (\(answer))",
                remedy:
                    "Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the shared credentials file"
            )
        case (_, "ExpiredToken"):
            return TraceError(
                .configuration,
                "the credentials of the object store have expired (\(answer))",
                remedy: "Renew them in the shared credentials file, which is read again"
            )
        case (_, "RequestTimeTooSkewed"):
            return TraceError(
                .configuration,
                "the clock of this machine and that of the object store differ too much (\(answer))",
                remedy: "Set this machine's clock"
            )
        case (403, _):
            return TraceError(
                .configuration,
                "the object store does not let these credentials use \(place(name)) (\(answer))",
                remedy:
                    "Allow them s3:PutObject, s3:GetObject, s3:ListBucket and s3:AbortMultipartUpload there"
            )
        case (301, _), (307, _), (_, "AuthorizationHeaderMalformed"):
            let region = response.headers["x-amz-bucket-region"].map { " \($0)" } ?? ""
            return TraceError(
                .configuration,
                "the bucket \(address.bucket) is in another region\(region) than \(access.region) (\(answer))",
                remedy: "Set AWS_REGION to the bucket's region"
            )
        case (404, _): return TraceError(.notFound, "there is no \(place(name)) (\(answer))")
        case (501, _):
            return TraceError(
                .configuration,
                "the object store does not know a request that is needed (\(answer))",
                remedy: "Use a version of it that takes If-None-Match on writes"
            )
        case (408, _), (409, _), (429, _), (500..., _):
            return TraceError(
                .unreachable,
                "the object store is out of order or too busy (\(answer))"
            )
        default: return TraceError(.system, "the object store refuses \(place(name)) (\(answer))")
        }
    }

    private func unintelligible(_ response: S3Response) -> TraceError {
        TraceError(
            .unreachable,
            "\(host) answered \(response.status) with a body that S3 does not send"
        )
    }

    // MARK: Text

    /// Encodes a key or a parameter as it is signed: all but the unreserved characters of RFC 3986 become `%XX`.
    static func encoded(_ text: String, keepingSlashes: Bool = false) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."), UInt8(ascii: "~"):
                result.unicodeScalars.append(UnicodeScalar(byte))
            case UInt8(ascii: "/") where keepingSlashes: result += "/"
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += byte < 16 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}

/// A response whose body is small, or went to a sink.
struct S3Response {
    let status: Int
    /// By names in lower case.
    let headers: [String: String]
    let body: [UInt8]

    /// Returns the text of the first XML element of that name.
    func element(_ name: String) -> String? {
        XMLText.elements(name, in: String(decoding: body, as: UTF8.self)).first
    }
}

/// The little XML that S3 answers: elements without attributes that are looked for, by name.
enum XMLText {
    /// Returns the contents of all elements of that name, unescaped where they contain no elements.
    static func elements(_ name: String, in text: String) -> [String] {
        var found: [String] = []
        var rest = Substring(text)
        while let start = rest.firstRange(of: "<\(name)>") {
            rest = rest[start.upperBound...]
            guard let end = rest.firstRange(of: "</\(name)>") else { break }
            let content = rest[..<end.lowerBound]
            found.append(content.contains("<") ? String(content) : unescaped(content))
            rest = rest[end.upperBound...]
        }
        return found
    }

    private static let entities = [
        ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"),
        ("&#39;", "'"), ("&amp;", "&"),
    ]

    private static func unescaped(_ text: Substring) -> String {
        guard text.contains("&") else { return String(text) }
        return entities.reduce(String(text)) { $0.replacing($1.0, with: $1.1) }
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            .replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }
}
