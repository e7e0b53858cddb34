import ConfigurationText
import SystemIO
package import TraceModel

/// The NATS servers that store a replicated log.
package struct JetStreamServers {
    private let addresses: ReplicaAddresses

    package init(_ addresses: ReplicaAddresses) { self.addresses = addresses }

    /// The addresses as the library takes them.
    var urls: [String] { addresses.list.map(\.url) }

    // MARK: Conditions

    /// What a server reports of itself.
    struct Report: Equatable {
        let name: String
        let version: String
        /// Whether it syncs each message before it is acknowledged.
        let syncsAlways: Bool

        /// Reads the answer of `/varz`.
        init(_ varz: ConfigurationNode) {
            name = varz["server_name"]?.text ?? ""
            version = varz["version"]?.text ?? ""
            syncsAlways = varz["jetstream"]?["config"]?["sync_always"]?.isTrue == true
        }

        /// Returns why a server with this report must not store a log; nil if it may.
        var objection: ReplicaError? {
            let numbers = version.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap {
                Int($0)
            }
            guard numbers.count == 2, (numbers[0], numbers[1]) >= JetStreamServers.versionMin else {
                return .unsuitable(
                    "the NATS server \(name) has version \(version): before 2.15 a stream can be lost as a whole",
                    remedy: "Install nats-server 2.15 or later"
                )
            }
            guard syncsAlways else {
                return .unsuitable(
                    "the NATS server \(name) acknowledges what is not on its disk yet",
                    remedy:
                        "Set \"sync_interval: always\" in the section jetstream of its configuration"
                )
            }
            return nil
        }
    }

    private static let versionMin = (2, 15)
    private static let timeoutSeconds = 2

    /// Asks every server whether it may store a log. Returns the names of those that answer, and the addresses of those
    /// that do not. Blocks.
    /// - Throws: `.unsuitable` if one must not; `.unavailable` if no majority answers.
    func check() throws(ReplicaError) -> (names: [String], silent: [HostPort]) {
        var names: [String] = []
        var silent: [HostPort] = []
        for server in addresses.list {
            guard
                let body = try? HTTPGet.body(
                    of: "/varz",
                    from: server.monitor,
                    version: "1.0",
                    timeoutSeconds: Self.timeoutSeconds
                )
            else {
                silent.append(server.monitor)
                continue
            }
            let report = Report(try JetStreamAnswer.parse(body))
            if let objection = report.objection { throw objection }
            names.append(report.name)
        }
        guard names.count > addresses.list.count / 2 else {
            throw .unavailable(
                "too few NATS servers report their settings; these do not: "
                    + silent.map(\.description).joined(separator: ", ")
                    + ". Each needs a monitoring port (\"http_port\"; 8222, or ?monitor=PORT behind its address)"
            )
        }
        return (names, silent)
    }
}
