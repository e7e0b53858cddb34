import ConfigurationText

/// What a JetStream server says in an answer.
enum JetStreamAnswer {
    /// An error of the server.
    struct Failure: Equatable {
        /// The server's number for it (`err_code`); 0 if there is none.
        let code: UInt64
        let text: String
    }

    /// The last position is not the expected one; the second is sent by clusters.
    private static let wrongLastSequence: Set<UInt64> = [10_071, 10_164]

    /// Returns what the answer to a message means. Whatever is not clear is unknown, and settled later: a server may
    /// refuse a message that another one has stored meanwhile.
    static func outcome(status: Int, _ bytes: [UInt8]) -> AppendOutcome {
        guard status == 0 else {
            return .unknown(
                status == 503
                    ? "no NATS server leads the stream" : "NATS answers with status \(status)"
            )
        }
        do {
            let node = try parse(bytes)
            if let failure = failure(node) {
                guard !wrongLastSequence.contains(failure.code) else { return .refused }
                return .unknown("\(failure.text) (\(failure.code))")
            }
            // A server that knows the message's identifier, but is not done with it, has no position.
            guard let position = node["seq"]?.unsigned, position > 0 else {
                return .unknown("NATS names no position")
            }
            return .stored(position)
        } catch { return .unknown("\(error)") }
    }

    /// Parses an answer.
    static func parse(_ bytes: [UInt8]) throws(ReplicaError) -> ConfigurationNode {
        do { return try ConfigurationParser.parse(bytes, file: "the answer of NATS") } catch {
            throw .unavailable("\(error)")
        }
    }

    /// Returns the error in an answer; nil if there is none.
    static func failure(_ node: ConfigurationNode) -> Failure? {
        guard let error = node["error"] else { return nil }
        return Failure(
            code: error["err_code"]?.unsigned ?? 0,
            text: error["description"]?.text ?? "NATS reports an error"
        )
    }
}
