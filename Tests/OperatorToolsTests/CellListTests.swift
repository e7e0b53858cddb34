import Foundation
import TestSupport
import Testing
import TraceModel

@testable import OperatorTools

struct CellListTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ text: String) throws -> String {
        let path = "\(directory.path)/cells.json"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test func targetsAreNamedByTheirLabel() throws {
        let path = try write(
            """
            [{ "targets": ["10.0.0.11:9091"], "labels": { "cell": "east", "zone": "a" } },
             { "targets": ["10.0.0.12:9091", "[::1]:9091"] }]
            """
        )
        #expect(
            try CellList(path, only: nil).cells.map(\.name) == [
                "east", "10.0.0.12:9091", "[::1]:9091",
            ]
        )
        #expect(
            try CellList(path, only: "east").cells.map { "\($0.address)" } == ["10.0.0.11:9091"]
        )
    }

    /// The list that is deployed is one that can be read.
    @Test func theDeployedExample() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let path = root.appendingPathComponent("deploy/prometheus/cells.json").path
        #expect(try CellList(path, only: nil).cells.map(\.name) == ["east", "west", "north"])
    }

    @Test func aNameStandsForItsAddresses() throws {
        let cells = try CellList("127.0.0.1:9091", only: nil).cells
        #expect(cells.map { "\($0.address)" } == ["127.0.0.1:9091"])
        #expect(try !CellList("localhost:9091", only: nil).cells.isEmpty)
    }

    @Test(arguments: [
        ("[]", "names no cell"), ("{}", "no list of targets"), ("", "no list of targets"),
        (#"[{"targets": ["east"]}]"#, "east is no ADDR:PORT"),
        (#"[{"targets": ["a:1"], "labels": {"cell": "a"}}]"#, "has no cell b"),
    ])
    func whatIsWrongIsNamed(text: String, problem: String) throws {
        let path = try write(text)
        #expect { try CellList(path, only: "b") } throws: { error in
            "\(error)".contains(problem) || text == "[]" && "\(error)".contains("has no cell b")
        }
    }

    @Test func whatIsNeitherFileNorAddress() {
        #expect { try CellList("no-such-file", only: nil) } throws: {
            "\($0)".contains("neither a file that is there nor NAME:PORT")
        }
    }

    @Test func whoDoesNotAnswerIsShown() throws {
        let path = try write(#"[{"targets": ["127.0.0.1:1"], "labels": {"cell": "away"}}]"#)
        let status = try CellList(path, only: nil).query()
        let text = status.text(terminal: .output)
        #expect(text.contains("away") && text.contains("not known"))
        struct Document: Decodable {
            struct Cell: Decodable {
                let cell: String
                let address: String
                let problem: String
            }

            let cells: [Cell]
        }
        let document = try JSONDecoder().decode(Document.self, from: Data(status.json.utf8))
        #expect(document.cells.map(\.cell) == ["away"])
        #expect(document.cells.map(\.address) == ["127.0.0.1:1"] && document.cells[0].problem != "")
    }
}
