import ConfigurationText
import SystemIO
import TraceModel

/// A replicated log in a stream of NATS JetStream. A message's position is its sequence in the stream. One thread.
package final class JetStreamLog: ReplicatedLog {
    private static let epochHeader = "Trace-Epoch"
    private static let lsnHeader = "Trace-LSN"
    private static let ownerHeader = "Trace-Owner"
    private static let sequenceHeader = "Nats-Sequence"
    /// Room for the headers in a message's size.
    private static let headerBytesMax = 1 << 10
    private static let messageBytesMax = 1 << 20
    private static let replicasMin: UInt64 = 3
    /// How long servers know a message by its identifier. The position alone keeps one from being stored twice; this
    /// only makes repetitions quick. If a server loses a message of which it knows the identifier, it refuses it for so
    /// long.
    private static let duplicateNanoseconds = 10_000_000_000

    private let connection: JetStreamConnection
    private let stream: String
    private let subject: String
    package let rangeBytesMax: Int
    /// Outcomes of messages that could not be sent.
    private var unsent: [(ticket: UInt64, outcome: AppendOutcome)] = []

    /// Connects, checks servers and stream, and makes the stream if there is none. Blocks.
    /// - Parameters:
    ///   - name: Name of the log: letters, digits, `-` and `_`.
    /// - Throws: `.unsuitable` with what to change; `.unavailable` if that is not known at this time.
    package init(_ servers: JetStreamServers, name: String) throws(ReplicaError) {
        guard !name.isEmpty, name.utf8.allSatisfy(Self.isNameByte) else {
            throw .unsuitable(
                "\(name) is no name of a replicated log",
                remedy: "Use letters, digits, - and _"
            )
        }
        let (names, silent) = try servers.check()
        connection = try JetStreamConnection(
            servers.urls,
            name: "trace-router \(name)",
            headers: [
                Self.epochHeader, Self.lsnHeader, Self.ownerHeader, Self.sequenceHeader,
            ]
        )
        stream = "trace-log-\(name)"
        subject = "trace.log.\(name)"
        rangeBytesMax = min(connection.payloadMax, Self.messageBytesMax) - Self.headerBytesMax
        let information = try openStream()
        try check(information, names: names, silent: silent.count)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    // MARK: The stream

    private static let streamNotFound: UInt64 = 10_059

    private func openStream() throws(ReplicaError) -> ConfigurationNode {
        let found = try ask("STREAM.INFO")
        guard let failure = JetStreamAnswer.failure(found) else { return found }
        guard failure.code == Self.streamNotFound else { throw .unavailable(failure.text) }
        let made = try ask(
            "STREAM.CREATE",
            """
            {"name": "\(stream)", "subjects": ["\(subject)"], "storage": "file", "retention": "limits",
             "num_replicas": \(Self.replicasMin), "discard": "new", "max_consumers": 0, "max_msgs": -1,
             "max_msgs_per_subject": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
             "duplicate_window": \(Self.duplicateNanoseconds), "allow_direct": true, "deny_delete": true}
            """
        )
        if let failure = JetStreamAnswer.failure(made) {
            throw .unavailable("the stream \(stream) cannot be made: \(failure.text)")
        }
        return made
    }

    /// Checks that the stream keeps all that it acknowledges, and that the servers that were checked store it.
    private func check(
        _ information: ConfigurationNode,
        names: [String],
        silent: Int
    ) throws(ReplicaError) {
        let config = information["config"]
        let replicas = config?["num_replicas"]?.unsigned ?? 0
        guard replicas >= Self.replicasMin else {
            throw unsuitable("has \(replicas) replicas", "Give it \(Self.replicasMin)")
        }
        guard config?["storage"]?.text == "file" else {
            throw unsuitable("is not stored in files", "Make one that is")
        }
        let limits = ["max_msgs", "max_bytes", "max_msgs_per_subject"].filter {
            (config?[$0]?.unsigned ?? 0) > 0
        }
        guard config?["retention"]?.text == "limits", limits.isEmpty,
            config?["max_age"]?.unsigned ?? 0 == 0
        else {
            throw unsuitable(
                "removes messages by itself",
                "Set its retention to limits, and no limit of age, size or number"
            )
        }
        guard config?["allow_direct"]?.isTrue == true else {
            throw unsuitable("does not allow direct gets", "Set allow_direct")
        }
        let cluster = information["cluster"]
        let stored =
            [cluster?["leader"]?.text]
            + (cluster?["replicas"]?.elements.map { $0["name"]?.text } ?? [])
        let others = stored.compactMap { $0 }.filter { !names.contains($0) }
        guard others.count <= silent else {
            throw unsuitable(
                "is stored by servers that are not named: \(others.joined(separator: ", "))",
                "Name all servers of the NATS cluster"
            )
        }
    }

    private func unsuitable(_ problem: String, _ remedy: String) -> ReplicaError {
        .unsuitable("the stream \(stream) \(problem)", remedy: remedy)
    }

    private func ask(
        _ operation: String,
        _ text: String = ""
    ) throws(ReplicaError) -> ConfigurationNode {
        let answer = try connection.request("$JS.API.\(operation).\(stream)", text)
        guard answer.status == 0 else {
            throw .unavailable("NATS answers \(operation) with status \(answer.status)")
        }
        return try JetStreamAnswer.parse(answer.bytes)
    }

    // MARK: Messages

    /// Sends a message for a position, as `ReplicatedLog` says.
    package func append(
        _ header: ReplicaHeader,
        _ bytes: UnsafeRawBufferPointer,
        at position: ReplicaPosition,
        ticket: UInt64
    ) {
        var headers = [
            ("Nats-Msg-Id", header.messageID), ("Nats-Expected-Stream", stream),
            ("Nats-Expected-Last-Sequence", "\(position - 1)"),
            (Self.epochHeader, "\(header.epoch)"), (Self.lsnHeader, "\(header.lsn)"),
        ]
        if let owner = header.owner {
            headers.append((Self.ownerHeader, "\(owner.directory).\(owner.start)"))
        }
        let problem = unsafe connection.send(
            subject,
            bytes,
            headers: headers.map { (name: $0.0, value: $0.1) },
            ticket: ticket
        )
        if let problem { unsent.append((ticket, .unknown(problem))) }
    }

    /// Returns the next outcome; nil if there is none for `milliseconds`. Blocks.
    package func outcome(milliseconds: Int64) -> (ticket: UInt64, outcome: AppendOutcome)? {
        if !unsent.isEmpty { return unsent.removeFirst() }
        return connection.next(milliseconds: milliseconds).map { ticket, answer in
            (ticket, JetStreamAnswer.outcome(status: answer.status, answer.bytes))
        }
    }

    /// Returns which sequences the stream has. Blocks.
    package func span() throws(ReplicaError) -> ReplicaSpan {
        let information = try ask("STREAM.INFO")
        if let failure = JetStreamAnswer.failure(information) { throw .unavailable(failure.text) }
        guard let state = information["state"], let last = state["last_seq"]?.unsigned,
            let first = state["first_seq"]?.unsigned, let count = state["messages"]?.unsigned
        else { throw .unavailable("NATS does not report the state of the stream \(stream)") }
        return ReplicaSpan(first: count == 0 ? last + 1 : first, last: last)
    }

    /// Returns a message from one of the servers, which may be behind the others. Blocks.
    package func read(_ position: ReplicaPosition) throws(ReplicaError) -> ReplicaMessage? {
        let answer = try connection.request(
            "$JS.API.DIRECT.GET.\(stream)",
            "{\"seq\": \(position)}"
        )
        if answer.status == 404 { return nil }
        guard answer.status == 0, answer.header(Self.sequenceHeader) == "\(position)" else {
            throw .unavailable("NATS does not return message \(position) (\(answer.status))")
        }
        guard let epoch = answer.header(Self.epochHeader).flatMap({ UInt64($0) }),
            let lsn = answer.header(Self.lsnHeader).flatMap({ LSN($0) })
        else {
            throw unsuitable(
                "has a message at position \(position) that is not of a log",
                "Let nothing else publish to \(subject)"
            )
        }
        let owner = answer.header(Self.ownerHeader).flatMap { text -> ReplicaOwner? in
            let numbers = text.split(separator: ".").compactMap { UInt64($0) }
            guard numbers.count == 2 else { return nil }
            return ReplicaOwner(directory: numbers[0], start: numbers[1])
        }
        let header = ReplicaHeader(epoch: epoch, lsn: lsn, owner: owner)
        return ReplicaMessage(position: position, header: header, bytes: answer.bytes)
    }

    /// Removes the messages below a position. Blocks.
    package func trim(below position: ReplicaPosition) throws(ReplicaError) {
        let answer = try ask("STREAM.PURGE", "{\"seq\": \(position)}")
        if let failure = JetStreamAnswer.failure(answer) { throw .unavailable(failure.text) }
    }
}
