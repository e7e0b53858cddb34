import Foundation
import Synchronization
import SystemIO
import TraceModel

/// Several clusters, by the addresses at which their aggregators serve metrics and status.
package struct CellList {
    /// One of them.
    struct Cell: Equatable, Sendable {
        let name: String
        let address: HostPort
    }

    /// A group of targets, as Prometheus' `file_sd_configs` reads them.
    private struct Group: Decodable {
        let targets: [String]
        let labels: [String: String]?
    }

    /// Clusters that are asked at once.
    private static let queriesMax = 32

    let cells: [Cell]

    /// Reads a file of targets; where there is none, takes the text for a name in DNS and a port. Blocks.
    /// - Parameter name: The only cell wanted; nil for all.
    /// - Throws: `TraceError` where the file or the name is wrong, or names no such cell.
    package init(_ text: String, only name: String?) throws {
        let all = FileSystem.exists(text) ? try Self.read(text) : try Self.resolve(text)
        cells = all.filter { name == nil || $0.name == name }
        guard cells.isEmpty else { return }
        let known = all.map(\.name).joined(separator: ", ")
        throw TraceError(
            .notFound,
            name.map { "\(text) has no cell \($0)" } ?? "\(text) names no cell",
            remedy: all.isEmpty ? nil : "Name one of these with --cell: \(known)"
        )
    }

    static func read(_ path: String) throws -> [Cell] {
        let groups: [Group]
        do {
            groups = try JSONDecoder().decode(
                [Group].self,
                from: Data(try FileSystem.contents(path))
            )
        } catch {
            throw TraceError(
                .configuration,
                "\(path) is no list of targets as file_sd_configs has it",
                remedy:
                    "Write it as [{\"targets\": [\"10.0.0.11:9091\"], \"labels\": {\"cell\": \"east\"}}]",
                cause: error
            )
        }
        return try groups.flatMap { group in
            try group.targets.map { target in
                guard let address = HostPort(target) else {
                    throw TraceError(.configuration, "\(path): \(target) is no ADDR:PORT")
                }
                return Cell(name: group.labels?["cell"] ?? target, address: address)
            }
        }
    }

    private static func resolve(_ text: String) throws -> [Cell] {
        guard let name = HostPort(text) else {
            throw TraceError(
                .notFound,
                "\(text) is neither a file that is there nor NAME:PORT",
                remedy: "Name a list of cells with --cells"
            )
        }
        return try HTTPGet.addresses(of: name).map { Cell(name: "\($0)", address: $0) }
    }

    /// Asks all clusters. Blocks for a few seconds where some do not answer.
    package func query() -> CellsStatus {
        let answers = Mutex([StatusQuery.Answer?](repeating: nil, count: cells.count))
        let next = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: min(cells.count, Self.queriesMax)) { _ in
            while true {
                let (index, _) = next.add(1, ordering: .relaxed)
                guard index < cells.count else { return }
                let answer = StatusQuery(dataDirectory: "", metrics: cells[index].address).run()
                answers.withLock { $0[index] = answer }
            }
        }
        return CellsStatus(
            zip(cells, answers.withLock { $0 }).compactMap { cell, answer in
                answer.map { (cell: cell, answer: $0) }
            }
        )
    }
}

/// The state of several clusters, for people or as one JSON object.
package struct CellsStatus {
    private let answers: [(cell: CellList.Cell, answer: StatusQuery.Answer)]

    init(_ answers: [(cell: CellList.Cell, answer: StatusQuery.Answer)]) { self.answers = answers }

    /// `cells`: for each its name and address, and the object that `tracectl status --json` prints.
    package var json: String {
        let objects = answers.map { cell, answer in
            let problem = answer.problem.map { ",\"problem\":\(Self.quoted($0))" } ?? ""
            return
                "{\"cell\":\(Self.quoted(cell.name)),\"address\":\(Self.quoted("\(cell.address)"))"
                + "\(problem),\"status\":\(answer.json)}"
        }
        return "{\"cells\":[\(objects.joined(separator: ",\n"))]}"
    }

    /// Returns a table with a line for each cluster, and what is wrong below it.
    package func text(terminal: Terminal) -> String {
        let width = max(4, answers.map { $0.cell.name.count }.max() ?? 0) + 2
        func row(_ name: String, _ state: String, _ numbers: [String]) -> String {
            name.padded(to: width) + state.padded(to: 11)
                + numbers.map { $0.padded(leftTo: 18) }.joined()
        }
        let titles = ["RECEIVED", "WRITTEN", "LAG BYTES", "WINDOWS TO UPLOAD"]
        var lines = [terminal.paint(row("CELL", "STATE", titles), .bold)]
        var problems: [String] = []
        for (cell, answer) in answers {
            let status = answer.status
            let isKnown = status.known != false
            let numbers = [
                status.receivedEvents, status.writtenEvents,
                status.workers.reduce(0) { $0 + $1.lagBytes },
            ].map { isKnown ? Report.grouped($0) : "-" }
            let waiting = status.objectStore.map { Report.grouped($0.waitingWindows) } ?? "-"
            let state = !isKnown ? "not known" : status.ready ? "ready" : "not ready"
            let line = row(cell.name, state, numbers + [waiting])
            lines.append(isKnown && status.ready ? line : terminal.paint(line, .red))
            let own =
                [answer.problem, status.console?.problem, status.objectStore?.problem]
                .compactMap { $0 } + (status.problems ?? [])
                + status.workers.compactMap { worker in
                    worker.lost.map { "\(worker.name) is down for good: \($0)" }
                }
            problems += own.map { terminal.paint("\(cell.name): \($0)", .red) }
        }
        return (lines + (problems.isEmpty ? [] : [""] + problems)).joined(separator: "\n")
    }

    private static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
}
