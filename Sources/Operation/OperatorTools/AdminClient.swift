import GRPCServices
import GRPCTransport
import SystemIO
package import TraceModel

/// Client of the router's admin service, which listens on a socket in the data directory.
///
/// Each call changes into the data directory, because a socket's path has at most 107 bytes, and blocks until the
/// router has finished. `ReportedWait` meanwhile reports what the call waits for, and limits the time.
package enum AdminClient {
    /// A drain ends when every worker has applied the whole log; commands set their own, shorter limit.
    private static let timeoutSeconds = 86_400.0

    /// Closes the open window and returns the paths of its final files.
    package static func finalize(dataDirectory: String) throws -> [String] {
        let answer = try call(.finalize, [], dataDirectory: dataDirectory)
        return paths(try FinalizeResponse(decoding: answer).files, in: dataDirectory)
    }

    /// Does what `finalize` does; the router accepts nothing more and then ends.
    package static func drain(dataDirectory: String) throws -> [String] {
        let answer = try call(.drain, [], dataDirectory: dataDirectory)
        return paths(try FinalizeResponse(decoding: answer).files, in: dataDirectory)
    }

    /// Changes the numbers of workers. Returns a line about the result when every slot is with its new owner.
    package static func scale(to counts: [Resource: Int], dataDirectory: String) throws -> String {
        let inOrder = counts.sorted { $0.key.rawValue < $1.key.rawValue }
        let request = ScaleRequest(
            counts: inOrder.map { WorkerCount(resource: $0.key.name, workers: $0.value) }
        )
        let answer = try call(.scale, request.encoded(), dataDirectory: dataDirectory)
        let response = try ScaleResponse(decoding: answer)
        let numbers = response.counts.map { "\($0.resource)=\($0.workers)" }
        return "\(numbers.joined(separator: ",")) (\(response.movedSlots) slots moved)"
    }

    /// Sets a worker's events aside up to a log position. Returns a line about the result.
    package static func skip(
        _ worker: WorkerName,
        to lsn: LSN,
        dataDirectory: String
    ) throws -> String {
        let answer = StatusQuery(dataDirectory: dataDirectory, metrics: nil).run()
        let known = answer.status.workers.first { $0.name == "\(worker)" }
        let request = SkipRequest(
            worker: worker.description,
            to: lsn,
            counted: answer.problem == nil ? known?.countedLsn ?? 0 : .max
        )
        let response = try SkipResponse(
            decoding: try call(.skip, request.encoded(), dataDirectory: dataDirectory)
        )
        let setAside =
            response.letter.isEmpty
            ? "nothing is to be set aside"
            : "\(response.events) events from \(response.from) on are set aside as \(response.letter)"
        return "\(worker) continues at LSN \(response.to): \(setAside)"
            + (response.note.isEmpty ? "" : ". \(response.note)")
    }

    /// Returns which worker holds which slots.
    package static func slots(dataDirectory: String) throws -> [SlotHolding] {
        let answer = try call(.slots, [], dataDirectory: dataDirectory)
        return try SlotsResponse(decoding: answer).holdings
    }

    private static func call(
        _ method: AdminService.Method,
        _ request: [UInt8],
        dataDirectory: String
    ) throws -> [UInt8] {
        do { try FileSystem.changeDirectory(to: dataDirectory) } catch {
            throw TraceError(.notFound, "no data directory", cause: error)
        }
        guard FileSystem.exists(ClusterPaths.adminSocket) else {
            throw TraceError(
                .unreachable,
                "no router runs in \(dataDirectory)",
                remedy: "Name the data directory of a running cluster with --data"
            )
        }
        let client = GRPCClient(target: ClusterPaths.adminAddress)
        defer { client.close() }
        do { return try client.unary(method.path, request, timeoutSeconds: timeoutSeconds) } catch {
            throw TraceError(
                error.status == .invalidArgument ? .invalidArgument : .unreachable,
                "the router answers \(error)"
            )
        }
    }

    /// Returns paths that the caller can open, relative to the directory from which `dataDirectory` was named.
    private static func paths(_ files: [String], in dataDirectory: String) -> [String] {
        files.map { $0.hasPrefix("/") ? $0 : "\(dataDirectory)/\($0)" }
    }
}
