import Foundation
import SystemIO
import TraceModel

/// Asks the aggregator for what only it has: the state of the cluster, and the points of the charts.
enum AggregatorClient {
    private static let timeoutSeconds = 2

    /// Returns the aggregator's answer to a GET as it is. Blocks.
    /// - Parameter target: Path and query.
    /// - Throws: `TraceError(.invalidArgument)` where it refuses the query's parameters; `.unreachable` where it does
    ///   not answer.
    static func body(of target: String) throws -> [UInt8] {
        guard let bytes = try? FileSystem.contents(ClusterPaths.aggregatorAddress),
            let address = HTTPGet.Server(
                String(decoding: bytes, as: UTF8.self).trimmingCharacters(
                    in: .whitespacesAndNewlines
                ),
                in: "."
            )
        else { throw TraceError(.unreachable, "no aggregator has run in this data directory") }
        do {
            return try HTTPGet.body(of: target, from: address, timeoutSeconds: timeoutSeconds)
        } catch let error as TraceError where error.code == .invalidArgument {
            throw error
        } catch {
            throw TraceError(.unreachable, "the aggregator does not answer", cause: error)
        }
    }
}
