"""Recordings of real tools, and files that are odd in ways that are met in the field, become calls in the output."""
import collections
import decimal
import gzip
import json
import os
import signal
import subprocess

import pytest

from outputs import json_files, opened, rows
from recordings import RECORDERS, Call, calls_of, events_of, nanoseconds

EPOCH_US = 1_760_000_000_000_000


def imported(cluster, path, host, *arguments, **options):
    """What the report of the import says."""
    done = cluster.tracectl("import", str(path), "--server", cluster.grpc, "--host", host, "--json", *arguments, **options)
    report = json.loads(done.stdout)
    assert report["completed"]
    skipped = sum(report["skipped"].values()) + sum(report["skipped_by_phase"].values())
    assert report["events_read"] == report["events_imported"] + skipped, report
    return report


def published(cluster, host):
    """The calls of a host in the final files, and what those call its processes and threads."""
    cluster.run("finalize")
    calls, open_calls, names = [], {}, {}
    for path in json_files(cluster.data, "function"):
        if not path.name.removesuffix(".json").endswith(f"_{host}"):
            continue
        with opened(path) as file:
            events = json.load(file, parse_float=decimal.Decimal)["traceEvents"]
        for event in events:
            if event["ph"] == "M":
                if "name" in event["args"]:
                    names[event["pid"], event.get("tid", 0)] = event["args"]["name"]
                continue
            if event["cat"] not in ("function", "continued"):
                continue  # a finding
            assert event["ph"] in "BE", event
            key = (event["pid"], event["tid"], event["args"]["cookie"])
            if event["ph"] == "B":
                assert key not in open_calls, "a cookie is one call's"
                open_calls[key] = (event["name"], nanoseconds(event["ts"]))
            else:
                name, start = open_calls.pop(key)
                calls.append(Call(event["pid"], event["tid"], name, start, nanoseconds(event["ts"])))
    calls += [Call(pid, tid, name, start, None) for (pid, tid, _), (name, start) in open_calls.items()]
    return calls, names


def renumbered(report, calls):
    """The calls with the ids that they should have in the output."""
    assert len(report["renumbered"]) == report["renumbered_processes"] + report["renumbered_threads"]
    processes = {one["pid"]: one["number"] for one in report["renumbered"] if "tid" not in one}
    threads = {(one["pid"], one["tid"]): one["number"] for one in report["renumbered"] if "tid" in one}
    return [
        call._replace(
            pid=processes.get(str(call.pid), call.pid), tid=threads.get((str(call.pid), str(call.tid)), call.tid)
        )
        for call in calls
    ]


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_real_recording_is_imported_call_by_call(shared_cluster, tmp_path, recorder):
    path = RECORDERS[recorder](tmp_path)
    events = events_of(path)
    expected = calls_of(events)
    assert len(expected) > 50
    report = imported(shared_cluster, path, recorder)
    assert report["events_read"] == len(events)
    assert report["calls"] == len(expected)
    assert report["unfinished_calls"] == sum(call.end is None for call in expected)
    assert report["malformed_events"] == sum("ph" not in event for event in events)
    assert not report["unterminated"] and not report["stray_bytes"]
    if recorder == "clang":
        assert "beginningOfTime" in report["placement"]
    if recorder == "py-spy":
        assert report["renumbered_threads"] > 0

    found, names = published(shared_cluster, recorder)
    first = min(call.start for call in expected)
    base = min(call.start for call in found)
    expected = sorted(
        (call._replace(start=call.start - first, end=call.end and call.end - first) for call in renumbered(report, expected)),
        key=lambda call: call[:4],
    )
    found = sorted(
        (call._replace(start=call.start - base, end=call.end and call.end - base) for call in found),
        key=lambda call: call[:4],
    )
    assert collections.Counter(call[:4] for call in found) == collections.Counter(call[:4] for call in expected)
    # Ends are as recorded, up to the recorder's rounding, but for calls that outlast their callers.
    ends = collections.defaultdict(list)
    for call in expected:
        ends[call[:4]].append(call.end)
    differing = 0
    for call in found:
        candidates = ends[call[:4]]
        best = min(candidates, key=lambda end: abs((end or 0) - (call.end or 0)))
        candidates.remove(best)
        differing += abs((best or 0) - (call.end or 0)) > 1_000
    assert differing <= report["truncated_calls"], (differing, report)
    if recorder in ("viztracer", "jax", "clang", "node"):
        assert names, "the recording names its processes and threads"


def x(name, ts, dur, pid=9, tid=1):
    return {"ph": "X", "name": name, "ts": EPOCH_US + ts, "dur": dur, "pid": pid, "tid": tid}


def test_ids_of_every_kind_are_threads_of_their_own(shared_cluster, tmp_path):
    path = tmp_path / "ids.json"
    ids = [
        (4100, 140212345678592), (4100, 140212337285888), (7168000000, 3), (7168000001, 3), ("CPU functions", 1),
        ("CUDA functions", 1), (2, "stream 7"), (2, "stream 20"), (2, 7), (12.0, 3.0), (12, -1), (12, "0x7f01"), (0, 1), (1, 1),
    ]
    path.write_text(json.dumps([x(f"f{number}", number, 1, *one) for number, one in enumerate(ids)]))
    report = imported(shared_cluster, path, "ids")
    assert report["threads"] == len(ids) and report["renumbered_processes"] == 5
    calls, names = published(shared_cluster, "ids")
    by_function = {call.name: (call.pid, call.tid) for call in calls}
    assert len(set(by_function.values())) == len(ids), by_function
    # What fits is kept, the rest is named by what the file calls it.
    assert by_function["f8"] == (2, 7) and by_function["f9"] == (12, 3) and by_function["f13"] == (1, 1)
    assert by_function["f11"] == (12, 0x7F01)
    assert names[by_function["f6"]] == "stream 7" and names[by_function["f0"]] == "140212345678592"
    assert names[by_function["f5"][0], 0] == "CUDA functions"
    text = shared_cluster.tracectl("import", str(path), "--server", shared_cluster.grpc, "--host", "ids-again").stdout
    assert "ids that do not fit: 5 processes and" in text and "process 7168000000 is " in text, text


def test_deep_recursion_stays_paired(shared_cluster, tmp_path):
    """Viewers take 512 calls in one another; each of these has its duration all the same."""
    depth = 1_500
    path = tmp_path / "deep.json"
    path.write_text(json.dumps(
        [{"ph": "B", "name": f"f{number}", "ts": EPOCH_US + number, "pid": 9} for number in range(depth)]
        + [{"ph": "E", "name": f"f{number}", "ts": EPOCH_US + 2 * depth - number, "pid": 9} for number in reversed(range(depth))]
    ))
    report = imported(shared_cluster, path, "deep")
    assert report["calls"] == depth and not report["unfinished_calls"] and not report["truncated_calls"]
    shared_cluster.run("finalize")
    found = {row["Function"]: float(row["Duration(us)"]) for row in rows(shared_cluster.data, "function") if row["host"] == "deep"}
    assert found == {f"f{number}": 2 * (depth - number) for number in range(depth)}


def test_odd_files_harm_no_more_than_themselves(shared_cluster, tmp_path):
    """Each with what the report says of it, and the calls that come out, in microseconds since the first."""
    b, e = ({"ph": phase, "pid": 9, "tid": 9} for phase in "BE")
    cases = {
        # Ends with names; the innermost call's own is missing.
        "ends": (
            [
                {**b, "name": "outer", "ts": EPOCH_US}, {**b, "name": "middle", "ts": EPOCH_US + 1},
                {**b, "name": "lost", "ts": EPOCH_US + 2}, {**e, "name": "middle", "ts": EPOCH_US + 3},
                {**e, "name": "outer", "ts": EPOCH_US + 4}, {**e, "name": "gone", "ts": EPOCH_US + 5},
            ],
            {"unfinished_calls": 1, "unmatched_ends": 1, "events_imported": 5},
            {("outer", 0, 4), ("middle", 1, 3), ("lost", 2, 3)},
        ),
        "far": (
            [x("good", 0, 10), x("good", 20, 10), {**x("bad", 0, 0), "ts": 0.0}, x("open", 5, 7_000_000_000_000_000, tid=2)],
            {"skipped": {"far_away": 1}, "far_ends": 1, "unfinished_calls": 1, "placement": "times are since the epoch"},
            {("good", 0, 10), ("good", 20, 30), ("open", 5, None)},
        ),
        "durations": (
            [x("good", 0, 10)] + [x("bad", 20, one) for one in (18446744073709551.615, "N/A", None, -1, float("inf"))],
            {"skipped": {"bad_duration": 5}, "malformed_events": 5},
            {("good", 0, 10)},
        ),
    }
    for name, (events, said, expected) in cases.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(events))
        report = imported(shared_cluster, path, name)
        assert {field: report[field] for field in said} == said, report
        calls, _ = published(shared_cluster, name)
        found = {
            (call.name, call.start // 1_000 - EPOCH_US, call.end and call.end // 1_000 - EPOCH_US) for call in calls
        }
        assert found == expected, name


def test_what_comes_through_a_pipe_and_what_is_cut_off_is_imported(shared_cluster, tmp_path):
    events = [x(f"f{number}", number, 1) for number in range(2_000)]
    document = "\ufeff[," + ",\n,".join(map(json.dumps, events))
    packed = gzip.compress(document.encode())
    command = [shared_cluster.programs / "tracectl", "import", "-", "--server", shared_cluster.grpc, "--host", "pipe", "--json"]
    for number, bytes_sent in enumerate([document.encode(), packed, packed[: len(packed) // 2]]):
        done = subprocess.run(command, input=bytes_sent, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["unterminated"] and report["events_imported"] == report["calls"]
        assert 500 < report["calls"] < 2_000 if number == 2 else report["calls"] == 2_000, report
    path = tmp_path / "recording.zst"
    subprocess.run(["zstd", "-q", "-o", path], input=document.encode(), check=True)
    assert imported(shared_cluster, path, "zstd")["calls"] == 2_000


def test_a_pipe_that_nobody_writes_to_is_waited_for_until_ctrl_c(shared_cluster, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [shared_cluster.programs / "tracectl", "import", fifo, "--server", shared_cluster.grpc],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 130 and not output and "nothing was sent" in errors


@pytest.mark.parametrize(
    "content, said",
    [
        ("[]".encode("utf-16"), "UTF-16LE, where only UTF-8 is read"),
        ('[{"ph":"X"} oops]'.encode(), "not valid JSON: byte 12: expected , or ]"),
        (b"", "not a Chrome trace"),
        (b"\x1f\x8b\x08\x00", "not a Chrome trace"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(shared_cluster, tmp_path, content, said):
    path = tmp_path / "broken"
    path.write_bytes(content)
    done = shared_cluster.tracectl("import", str(path), "--server", shared_cluster.grpc, check=False)
    assert done.returncode == 1 and not done.stdout
    assert str(path) in done.stderr and said in done.stderr, done.stderr


def test_without_standard_input_nothing_is_waited_for(shared_cluster):
    done = subprocess.run(
        ["bash", "-c", '"$0" import - --server "$1" <&-', shared_cluster.programs / "tracectl", shared_cluster.grpc],
        capture_output=True, text=True, timeout=10,
    )
    assert done.returncode == 1 and "There is no standard input" in done.stderr, done
