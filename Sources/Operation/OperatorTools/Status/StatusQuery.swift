import Foundation
import SystemIO
package import TraceModel

/// Asks the aggregator how the cluster stands.
package struct StatusQuery {
    /// Where the aggregator writes the address it listens on, inside the data directory.
    package static let addressFile = ClusterPaths.aggregatorAddress
    private static let timeoutSeconds = 2

    package struct Answer: Sendable {
        /// One JSON object on one line.
        package let json: String
        package let status: ClusterStatus
        /// Why the object says nothing, where it doesn't.
        package let problem: String?
    }

    private let dataDirectory: String
    private let metrics: HostPort?

    /// `metrics`: the aggregator's address, where it isn't to be looked up in the data directory.
    package init(dataDirectory: String, metrics: HostPort?) {
        self.dataDirectory = dataDirectory
        self.metrics = metrics
    }

    /// Always an answer; one that knows nothing where the aggregator can't be reached. Blocks.
    package func run() -> Answer {
        do {
            let address = try metrics ?? recordedAddress()
            let timeout = Self.timeoutSeconds
            let body = try HTTPGet.body(of: "/status", from: address, timeoutSeconds: timeout)
            return try Self.answer(body)
        } catch {
            let status = ClusterStatus.unknown
            let json = (try? Report.json(status)) ?? "{}"
            return Answer(json: json, status: status, problem: "\(error)")
        }
    }

    /// Passes the object on as it came, keys unknown here included, after a check of its shape.
    package static func answer(_ body: [UInt8]) throws -> Answer {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            let status = try decoder.decode(ClusterStatus.self, from: Data(body))
            let object = try JSONSerialization.jsonObject(with: Data(body))
            let line = try JSONSerialization.data(
                withJSONObject: object,
                options: [.sortedKeys, .withoutEscapingSlashes]
            )
            let json = String(decoding: line, as: UTF8.self)
            return Answer(json: json, status: status, problem: nil)
        } catch {
            throw TraceError(.unreachable, "the aggregator's answer is no status", cause: error)
        }
    }

    private func recordedAddress() throws -> HostPort {
        let path = "\(dataDirectory)/\(Self.addressFile)"
        guard let bytes = try? FileSystem.contents(path) else {
            throw TraceError(
                .notFound,
                "no aggregator has run in \(dataDirectory)",
                remedy: "Name the data directory with --data, or the address with --metrics"
            )
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let address = HostPort(trimmed) else {
            throw TraceError(.corrupt, "\(path) holds no address")
        }
        return address
    }
}
