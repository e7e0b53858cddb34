import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Runs the conformance checker, which knows the rules of trace viewers.
struct ConformanceTests {
    @Test func finishedAndUnfinishedFilesPass() throws {
        let events = SyntheticEvent.make(700, seed: 4, disorderNanoseconds: 100_000)
        let group = try WorkerGroup(2)
        try group.apply(events)
        for manager in group.managers { try manager.flush(.all) }
        func traces(_ directory: String) throws -> [String] {
            try group.directory.files(below: directory).keys.filter { $0.hasSuffix(".json") }.map {
                "\(group.directory.path)/\(directory)/\($0)"
            }
        }
        let open = try traces("segments")
        #expect(!open.isEmpty)
        let unfinished = try TraceCheck.run(open + ["--allow-open"])
        #expect(unfinished.code == 0, "\(unfinished.output)")
        // The checker can fail: unless permitted, an open array is an error.
        #expect(try TraceCheck.run(open).code == 1)

        let files = try group.close()
        let closed = try TraceCheck.run(try traces("segments"))
        #expect(closed.code == 0, "\(closed.output)")
        try group.merge(files)
        let final = try TraceCheck.run(try traces("output"))
        #expect(final.code == 0, "\(final.output)")
    }

    @Test func pythonReadsTables() throws {
        let group = try WorkerGroup(2)
        try group.apply(SyntheticEvent.make(200, seed: 4, disorderNanoseconds: 50_000))
        try group.merge(try group.close())
        let output = "\(group.directory.path)/output"
        let stem = WorkerGroup.stem
        let program = """
            import csv, json, sys
            rows = list(csv.DictReader(open(sys.argv[1], newline='', encoding='utf-8'), strict=True))
            assert len(rows) == 200, len(rows)
            assert sorted(int(r['Text'].split()[1]) for r in rows) == list(range(200))
            assert all(r['Text'].endswith('\\r\\n, "quoted"') for r in rows)
            keys = [(int(r['Timestamp(ns)']), int(r['PID']), r['host']) for r in rows]
            assert keys == sorted(keys)
            table = list(csv.DictReader(open(sys.argv[2], newline='', encoding='utf-8'), strict=True))
            lines = [json.loads(l) for l in open(sys.argv[3], encoding='utf-8')]
            columns = 'rule resource host pid process ts value baseline score severity message'
            assert len(table) == len(lines) == 19, len(lines)
            for a, b in zip(table, lines):
                assert list(a) == list(b) == columns.split()
                assert a['host'] == b['host'] and a['message'] == b['message']
                assert a['baseline'] == '' and b['baseline'] is None
                # Whole microseconds in the table, where the lines have the digits below them too.
                assert int(a['ts']) == b['ts'] // 1 and float(a['value']) == b['value']
            """
        let result = try TraceCheck.python([
            "-c", program, "\(output)/csv/gpu_trace_\(stem).csv",
            "\(output)/anomalies/anomalies_\(stem)_gpu.csv",
            "\(output)/anomalies/anomalies_\(stem)_gpu.jsonl",
        ])
        #expect(result.code == 0, "\(result.output)")
    }

    @Test func theHeaderFitsTheWorstHost() throws {
        let group = try WorkerGroup(1)
        let manager = group.managers[0]
        let name = String(repeating: "\u{1}", count: Limits.hostBytesMax)
        let host = try manager.host(name)
        let rows = manager.json(host)
        rows.text.appendEventStart(ts: SyntheticEvent.baseTime, pid: 1)
        rows.text.append("\"tid\":1,\"ph\":\"i\",\"name\":\"x\"}")
        rows.endRow(ts: SyntheticEvent.baseTime, pid: 1)
        let path = try #require(try group.merge(try group.close()).first)
        let result = try TraceCheck.run(["\(group.directory.path)/\(path)"])
        #expect(result.code == 0, "\(result.output)")
    }
}
