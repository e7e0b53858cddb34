import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// No two hosts share a file, whatever their names are.
struct SafeNameTests {
    /// Names constructed to collide with one another, with a window's number, or with the number of a file.
    private static let nasty: [String] = {
        let plain = [
            "", "2", "02", "2_", "2_3", "2_web", "web", "web_2", "_2", "x y", "x_y", "x/y",
            "x\u{0}y", "é", "e\u{301}",
            "web~002", "web.json", "web.local", "node", "node.local", ".", "..", "10.0.0.1", "::1",
            "fe80::1%eth0",
            "2-web", "٢", "²", String(repeating: "a", count: 100),
            String(repeating: "a", count: 101),
            String(repeating: "a", count: 255), String(repeating: "ü", count: 127),
            "x_y-beccb1197f2b3af4",
        ]
        let once = plain + plain.map(SafeName.of)
        return once + once.map(SafeName.of) + once.map { "2_" + SafeName.of($0) }
            + plain.map(SafeName.ofThisMachine)
    }()

    private static let hosts = Dictionary(nasty.map { (Array($0.utf8), $0) }) { first, _ in first }
        .values.sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }

    @Test(arguments: ["web-1.example.org", "10.0.0.1", "2-web", "web_2", "_2", "A.b-C_d", "x_y"])
    func safeNamesAreUnchanged(_ name: String) { #expect(SafeName.of(name) == name) }

    @Test func namesAreSafeAndShort() {
        for host in Self.hosts {
            let name = SafeName.of(host)
            #expect(!name.isEmpty && name.utf8.allSatisfy(SafeName.isSafe), "\(host)")
            #expect(name.utf8.count <= 133)
        }
    }

    /// Three windows of the same second, with this machine's files among those of other hosts.
    @Test(arguments: ["node", "2", "x y", "", "web_2", "é"])
    func filesOfTheSameSecondHaveDistinctNames(_ local: String) {
        var taken: [String: String] = [:]
        for ordinal in 1...3 {
            let stem = ordinal > 1 ? "20251009_085320_\(ordinal)" : "20251009_085320"
            let files = Self.hosts.map { host in
                ClosedFile(
                    kind: .json,
                    worker: WorkerName(resource: .gpu, index: 0),
                    window: UInt64(ordinal),
                    host: host,
                    isThisMachine: host.utf8.elementsEqual(local.utf8),
                    runs: []
                )
            }
            let names = OutputNames(resource: .gpu, stem: stem, files: files, localHostName: "node")
            for host in Self.hosts {
                for path in [
                    names.json(host: host), names.json(host: host, part: 2),
                    names.stacks(host: host),
                    names.folded(host: host),
                ] {
                    let other = taken.updateValue("\(host) of window \(ordinal)", forKey: path)
                    #expect(other == nil, "\(path)")
                }
            }
            for path in [names.csv(), names.csv(part: 2), names.anomaliesCSV, names.anomaliesJSON] {
                #expect(taken.updateValue("table", forKey: path) == nil, "\(path)")
            }
        }
    }

    @Test func digestsMatchTheStandard() {
        let known = [
            "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ]
        for (text, digest) in known {
            let hexadecimal = SHA256.digest(Array(text.utf8)).map {
                ($0 < 16 ? "0" : "") + String($0, radix: 16)
            }
            .joined()
            #expect(hexadecimal == digest)
        }
    }

    /// Two examples of hosts that used to overwrite each other's traces, with windows of the same second.
    @Test func everyEventIsPublished() throws {
        let directory = try TemporaryDirectory()
        let manager = try WorkerGroup.manager(0, in: directory)
        try manager.restore(from: nil)
        manager.openWindow(1)
        let names = ["x y", "x_y-beccb1197f2b3af4", "2", "e\u{301}", "é"]
        var paths: Set<String> = []
        for window in UInt64(1)...2 {
            for name in names {
                let host = try manager.host(name)
                for number in 0..<100 {
                    let event = SyntheticEvent(
                        host: 0,
                        pid: 1,
                        tid: 1,
                        ts: SyntheticEvent.baseTime + Int64(number) * 1_000,
                        number: number
                    )
                    event.appendJSON(to: manager, host: host)
                }
            }
            let local = try manager.host("127.0.0.1", isThisMachine: true)
            SyntheticEvent(host: 0, pid: 1, tid: 1, ts: SyntheticEvent.baseTime, number: 0)
                .appendJSON(
                    to: manager,
                    host: local
                )
            let stem = window == 1 ? WorkerGroup.stem : "\(WorkerGroup.stem)_2"
            let files = try manager.closeWindow(stem: stem, nextWindow: window + 1)
            let merger = WindowMerger(
                localHostName: "this-machine",
                timeZoneName: "UTC",
                root: directory.path
            )
            paths.formUnion(
                try merger.merge(resource: .gpu, window: window, stem: stem, files: files)
            )
        }
        #expect(paths.count == 12)
        var events = 0
        for path in paths {
            let data = try Data(contentsOf: URL(filePath: "\(directory.path)/\(path)"))
            let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
            events += (object?["traceEvents"] as? [Any])?.count ?? 0
        }
        #expect(events == 2 * (names.count * 100 + 1))
    }

    /// Also after a crash at any step of the merge.
    @Test func anExistingFileIsNotReplaced() throws {
        let events = SyntheticEvent.make(60, seed: 4, disorderNanoseconds: 0)
        struct Crash: Error {}
        let free = try WorkerGroup(2)
        try free.apply(events)
        try free.merge(try free.close())
        let expected = try free.directory.files(below: "output/json")
        for crashAt in 1...40 {
            let group = try WorkerGroup(2)
            try group.apply(events)
            let files = try group.close()
            let directory = "\(group.directory.path)/output/json"
            let name = "gpu_trace_\(WorkerGroup.stem)"
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true
            )
            for taken in ["\(name).json", "\(name)~beside2.json"] {
                try Data("mine".utf8).write(to: URL(filePath: "\(directory)/\(taken)"))
            }
            let merger = group.merger
            var step = 0
            merger.onStep = { _ in
                step += 1
                if step == crashAt { throw Crash() }
            }
            do { try group.merge(files, with: merger) } catch is Crash {}
            let paths = try group.merge(files)
            let output = try group.directory.files(below: "output/json")
            #expect(output["\(name).json"] == Data("mine".utf8))
            #expect(output["\(name)~beside2.json"] == Data("mine".utf8))
            #expect(output["\(name)~beside3.json"] == expected["\(name).json"])
            #expect(output.count == expected.count + 2)
            #expect(paths.contains("output/json/\(name)~beside3.json"))
        }
    }
}
