"""tracectl as a source of events: the agent that samples this machine, and recordings of real programs."""
import csv
import io
import json
import os
import subprocess
import sys

import pytest

from outputs import json_files, records, trace_events
from traffic import RESOURCES, Traffic

PROGRAM = """
def leaf(n):
    return sum(i * i for i in range(n))

def branch(n):
    return leaf(n) + leaf(n + 1)

print(sum(branch(n) for n in range(40)))
"""


def logged_batches(cluster):
    lines = cluster.tracectl("log", "dump", "--json", "--data", str(cluster.data)).stdout.splitlines()
    return [record for record in map(json.loads, lines) if record["type"] == "batch"]


def test_the_agent_samples_this_machine(cluster):
    cluster.tracectl("agent", "--server", cluster.grpc, "--duration", "3s")
    cluster.run("finalize")
    cpu = records(cluster.data, "cpu")
    assert cpu and any(event["args"].get("utilization", 0) > 0 for event in cpu)
    # What a process had when the agent first saw it is no allocation.
    memory = sorted(records(cluster.data, "memory"), key=lambda event: event["ts"])
    firsts = {}
    for event in memory:
        firsts.setdefault(event["pid"], event["args"])
    assert firsts and all(first["operation"] == "sample" and not first["size"] for first in firsts.values())
    (own,) = {event["pid"] for event in cpu if event["pid"] == os.getpid()}
    assert own in firsts and firsts[own]["current_usage"] > 1 << 20
    batches = logged_batches(cluster)
    assert batches and all(batch["semantics"] == "cumulative" for batch in batches)
    # At first all names, then only new ones.
    assert batches[0]["names"] > 1 and sum(batch.get("names", 0) for batch in batches[-1:]) < batches[0]["names"]
    written = sum(len(records(cluster.data, resource)) for resource in RESOURCES)
    assert cluster.quiet_status(written)["written_events"] == written


def test_a_recording_of_a_real_program_is_imported(cluster, tmp_path):
    program, recording = tmp_path / "program.py", tmp_path / "recording.json"
    program.write_text(PROGRAM)
    subprocess.run(
        [sys.executable, "-m", "viztracer", "--quiet", "-o", recording, program], check=True, capture_output=True
    )
    calls = [event for event in json.loads(recording.read_text())["traceEvents"] if event.get("ph") == "X"]
    assert len(calls) > 100

    cluster.tracectl("import", str(recording), "--server", cluster.grpc)
    cluster.run("finalize")
    events = records(cluster.data, "function")
    assert len(events) == 2 * len(calls)
    leaves = [event for event in events if event["ph"] == "B" and "leaf" in event["name"]]
    assert len(leaves) == sum("leaf" in call["name"] for call in calls)
    batches = logged_batches(cluster)
    assert all(batch["semantics"] == "cumulative" for batch in batches)
    # Its process and its thread.
    assert [batch.get("names", 0) for batch in batches] == [2] + [0] * (len(batches) - 1)


def test_processes_of_a_profile_keep_their_names(cluster, tmp_path):
    def metadata(kind, tid, **arguments):
        return {"ph": "M", "pid": 701, "tid": tid, "name": kind, "args": arguments}

    recording = tmp_path / "profile.json"
    recording.write_text(json.dumps({"traceEvents": [
        metadata("process_name", 0, name="/device:GPU:0"), metadata("process_sort_index", 0, sort_index=5),
        metadata("thread_name", 12, name="XLA Ops"),
        {"ph": "X", "pid": 701, "tid": 12, "name": "fusion.1", "ts": 1_760_000_000_000_000, "dur": 5},
    ]}))
    cluster.tracectl("import", str(recording), "--server", cluster.grpc)
    cluster.run("finalize")
    (path,) = json_files(cluster.data, "function")
    named = {
        (event["name"], event.get("tid", 0)): event["args"] for event in trace_events(path) if event["ph"] == "M"
    }
    assert named["process_name", 0] == {"name": "/device:GPU:0"}, named
    assert named["thread_name", 12] == {"name": "XLA Ops"}, named
    assert named["process_sort_index", 0] == {"sort_index": 5}, named


@pytest.mark.smoke
def test_windows_and_hosts_are_read_back_as_one(cluster, contract):
    """A call that outlasts a window is opened once, and all stands in order of time."""
    start = 1_760_000_000

    def send(host, *events):
        batch = contract.messages.TraceBatch(host=host, semantics=contract.messages.CUMULATIVE)
        for second, event_type, cookie in events:
            batch.trace_data.add(
                timestamp=f"{start + second}.5", event_type=event_type, cookie=cookie, function_name="f", pid=7, tgid=7
            )
        assert contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30).success

    send("one", (0, 0, 1), (1, 0, 2), (4, 1, 2))
    send("two", (2, 0, 3), (3, 1, 3))
    cluster.run("finalize")
    send("one", (5, 0, 4), (7, 1, 4), (9, 1, 1))
    send("two", (6, 0, 5), (8, 1, 5))
    cluster.run("finalize")

    def cat(*arguments):
        return cluster.tracectl("cat", "--data", str(cluster.data), "--resource", "function", *arguments).stdout

    events = [event for event in json.loads(cat())["traceEvents"] if event["ph"] in "BE"]
    seen = [(event["ts"] // 1_000_000 - start, event["ph"], event["args"]["cookie"]) for event in events]
    assert seen == [
        (0, "B", 1), (1, "B", 2), (2, "B", 3), (3, "E", 3), (4, "E", 2),
        (5, "B", 4), (6, "B", 5), (7, "E", 4), (8, "E", 5), (9, "E", 1),
    ]
    rows = list(csv.DictReader(io.StringIO(cat("--format", "csv"), newline="")))
    assert [(row["host"], row["Cookie"]) for row in rows] == [
        ("two", "3"), ("one", "2"), ("one", "4"), ("two", "5"), ("one", "1"),
    ]

    (summary,) = json.loads(cluster.tracectl("summary", "--data", str(cluster.data), "--json").stdout)
    (overall,) = summary["tables"]["functions_overall"]["top"]["busiest"]
    assert overall["function"] == "f" and overall["calls"] == 5 and overall["total_ms"] == 17_000


@pytest.mark.parametrize("cluster", [["--time-zone", "America/New_York"]], indirect=True)
def test_a_span_is_cut_out_of_what_was_recorded(cluster, contract):
    """Its ends are in the cluster's zone; calls that go on beyond it are clipped."""
    def send(*events):
        batch = contract.messages.TraceBatch(host="one", semantics=contract.messages.CUMULATIVE)
        for second, event_type, cookie in events:
            batch.trace_data.add(
                timestamp=f"2026-01-15 12:00:{second:02}.250", event_type=event_type, cookie=cookie,
                function_name=f"f{cookie}", pid=7, tgid=7,
            )
        assert contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30).success

    # 1 and 3 go on into the second window, 3 without an end.
    send((0, 0, 1), (1, 0, 2), (2, 1, 2), (3, 0, 3))
    cluster.run("finalize")
    send((20, 0, 4), (25, 1, 4), (30, 1, 1))
    cluster.run("finalize")
    # Noon in New York.
    start = 1_768_496_400_250_000

    def cat(*arguments):
        text = cluster.tracectl("cat", "--data", str(cluster.data), "--resource", "function", *arguments).stdout
        return [
            ((event["ts"] - start) / 1e6, event["ph"], event["name"], event.get("cat"))
            for event in json.loads(text)["traceEvents"] if event["ph"] in "BE"
        ]

    expected = [
        (10, "B", "f1", "continued"), (10, "B", "f3", "continued"), (20, "B", "f4", "function"),
        (22, "E", "f4", None), (22, "E", "f3", None), (22, "E", "f1", None),
    ]
    assert cat("--from", "2026-01-15 12:00:10.25", "--to", "2026-01-15 12:00:22.250000000") == expected
    assert cat("--from", "2026-01-15T17:00:10.250Z", "--to", "1768496422.25") == expected
    assert cat("--from", "2026-01-15 12:00:26")[:2] == [
        (25.75, "B", "f1", "continued"), (25.75, "B", "f3", "continued"),
    ]
    assert cat("--from", "2026-01-15 12:00:10", "--host", "two") == []
    # Also of a stopped cluster.
    cluster.stop()
    assert cat("--to", "2026-01-15 12:00:00.25") == [(0, "B", "f1", "function"), (0, "E", "f1", None)]

    for wrong, reason in (
        (["--from", "2026-13-15 12:00:00"], "--from names no time"),
        (["--from", "noon"], "invalid"),
        (["--from", "2026-01-15 12:00:01", "--to", "2026-01-15 12:00:00"], "--from is after --to"),
    ):
        refused = cluster.tracectl(
            "cat", "--data", str(cluster.data), "--resource", "function", *wrong, check=False
        )
        assert refused.returncode == 2 and reason in refused.stderr, refused.stderr


@pytest.mark.parametrize("cluster", [["--time-zone", "America/New_York"]], indirect=True)
def test_anomalies_are_shown(cluster, contract):
    def anomalies(*arguments, check=True):
        return cluster.tracectl("anomalies", "--data", str(cluster.data), *arguments, check=check)

    def send(host, second, pid):
        batch = contract.messages.TraceBatch(host=host, semantics=contract.messages.CUMULATIVE)
        for offset, event_type in ((0, 0), (30, 1)):
            batch.trace_data.add(
                timestamp=f"2026-01-15 12:{second:02}:{offset:02}.250", event_type=event_type, cookie=1,
                function_name="f", pid=pid, tgid=pid,
            )
        assert contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30).success

    nothing = anomalies()
    assert nothing.stdout == "" and "There are no anomalies" in nothing.stderr
    send("one", 20, 7)
    cluster.run("finalize")
    send("two", 10, 8)
    cluster.run("finalize")

    found = [json.loads(line) for line in anomalies("--json").stdout.splitlines()]
    assert [(one["rule"], one["host"], one["pid"]) for one in found] == [("slow_call", "two", 8), ("slow_call", "one", 7)]
    head, first, second = anomalies().stdout.splitlines()
    assert head.split()[:3] == ["TIME", "RESOURCE", "RULE"]
    assert first.split()[:5] == ["2026-01-15", "12:10:30.250", "function", "slow_call", "two"]
    assert anomalies("--from", "2026-01-15 12:11:00").stdout.splitlines()[1:] == [second]
    assert anomalies("--host", "one", "--rule", "slow_call", "--resource", "function").stdout.splitlines()[1:] == [second]
    none = anomalies("--rule", "stuck_call")
    assert none.stdout == "" and "of that kind" in none.stderr
    refused = anomalies("--rule", "slow", check=False)
    assert refused.returncode == 2 and "no rule slow" in refused.stderr and "stuck_call" in refused.stderr
    missing = cluster.tracectl("anomalies", "--data", str(cluster.data / "none"), check=False)
    assert missing.returncode == 1 and "--data" in missing.stderr


def test_batches_from_files_are_sent(cluster, contract, tmp_path):
    traffic = Traffic(contract.messages)
    unspecified = {"semantics": contract.messages.UNSPECIFIED}
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.pb")
        files[-1].write_bytes(traffic.batch(**unspecified).SerializeToString())
    cluster.tracectl("send", "--server", cluster.grpc, *map(str, files))
    cluster.run("finalize")
    assert cluster.quiet_status(traffic.events)["written_events"] == traffic.events

    files[0].write_bytes(traffic.batch(**unspecified).SerializeToString())
    cumulative = traffic.batch()
    files[1].write_bytes(cumulative.SerializeToString())
    cluster.tracectl("send", "--server", cluster.grpc, "--semantics", "neutracer", *map(str, files[:2]))
    cluster.quiet_status(traffic.events)
    # From the second window on the log may have been trimmed of the first.
    assert [batch["semantics"] for batch in logged_batches(cluster)][-2:] == ["neutracer", "cumulative"]
    refused = cluster.tracectl("send", "--semantics", "other", str(files[0]), check=False)
    assert refused.returncode == 2 and "neutracer" in refused.stderr
