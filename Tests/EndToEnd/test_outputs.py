"""What was sent stands in the files, once, and viewers take them."""
import csv
import json
import math
import re

import pytest

from check_trace import check
from cluster import ROOT, wait_until
from outputs import CSV_COLUMNS, assert_holds_exactly, csv_files, json_files, opened, records, rows, trace_events
from traffic import RESOURCES, Traffic


def send(cluster, contract, traffic, batches, **fields):
    stub = contract.services.TracerServiceStub(cluster.channel())
    for _ in range(batches):
        answer = stub.SendTraceBatch(traffic.batch(**fields), timeout=30)
        assert answer.success, answer.message


def published(cluster):
    """Whether a file of each resource stands in both formats."""
    return len(json_files(cluster.data)) == len(csv_files(cluster.data)) == len(RESOURCES)


@pytest.mark.smoke
def test_every_event_of_every_resource_is_written_once(cluster, contract):
    traffic = Traffic(contract.messages)
    send(cluster, contract, traffic, batches=20)
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)

    status = cluster.quiet_status(traffic.events)
    assert status["ready"]
    assert status["written_events"] == traffic.events
    assert [worker["name"] for worker in status["workers"]] == [f"{resource}.0" for resource in RESOURCES]
    assert all(worker["up"] and worker["lag_bytes"] == 0 for worker in status["workers"])


def test_fields_arrive_under_the_names_that_readers_know(cluster, contract):
    traffic = Traffic(contract.messages, processes=(4001,))
    send(cluster, contract, traffic, batches=1, rounds=1)
    cluster.run("finalize")

    begin, _, _, end = sorted(records(cluster.data, "function"), key=lambda event: event["ts"])
    assert (begin["name"], begin["ph"], begin["pid"], begin["tid"]) == ("compute", "B", 4001, 4101)
    assert begin["args"]["cookie"] == traffic.completed_calls[1]
    assert (begin["args"]["call_count"], begin["args"]["avg_duration_us"]) == (3, 7)
    assert end["ph"] == "E" and end["args"]["duration"] == pytest.approx(3.0)  # ms

    expected = {
        "cpu": {"cpu_id": 1, "utilization": 42.25, "oncpu_time_us": 5000, "offcpu_time_us": 700, "migrations": 2,
                "numa_migrations": 1, "hotspot_cpu": 1, "hotspot_percentage": 61.5, "ppid": 1},
        "memory": {"operation": "alloc", "size": 4096, "address": hex(traffic.sent["memory"][0]), "stack_id": 9,
                   "current_usage": 65536, "peak_usage": 131072, "alloc_size": 10, "free_size": 4},
        "network": {"op": "send", "bytes": 1500, "src": "10.0.0.1:40000", "dst": "[fe80::2]:443", "protocol": "TCP",
                    "tx_bytes": 1500, "rx_bytes": 300, "total_tx_packets": 3, "total_rx_packets": 2,
                    "active_connect": 1},
        "io": {"operation": "READ", "device": 'sd"a\\1', "bytes": 512, "latency_ms": 0.25, "read_bytes": 512,
               "read_ops": 1, "read_latency_ms": 0.25, "write_latency_ms": 0.5, "major": 8, "minor": 1},
    }
    for resource, args in expected.items():
        (event,) = records(cluster.data, resource)
        assert event["ph"] == "i" and event["pid"] == 4001
        assert {name: event["args"].get(name) for name in args} == args, resource

    (row,) = rows(cluster.data, "cpu")
    assert float(row["CPU Utilization(%)"]) == 42.25
    assert [row[name] for name in ("PID", "OnCPU Time(μs)", "Migrations")] == ["4001", "5000", "2"]
    (row,) = rows(cluster.data, "network")
    assert [row[name] for name in ("tx_bytes", "rx_bytes", "active_connections")] == ["1500", "300", "1"]

    (stacks,) = cluster.data.glob("output/txt/stackmessage_*.txt")
    lines = stacks.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "FORMAT|1.0" and lines[1].startswith("METADATA|")
    assert lines[2] == "HEADER|timestamp|pid|frame_count|[frames...]"
    assert lines[3] == "EVENT|0|4001|2|main|step\\u007ctwo"


def test_viewers_would_take_every_file(cluster, contract):
    send(cluster, contract, Traffic(contract.messages), batches=5)
    # Late, and from processes known already: must be sorted in.
    send(cluster, contract, Traffic(contract.messages, clock_us=1_759_999_999_000_000), batches=2)
    cluster.run("finalize")
    files = json_files(cluster.data)
    assert len(files) == len(RESOURCES)
    for path in files:
        report = check(str(path))
        assert not report["problems"], report


def test_hosts_get_files_of_their_own(cluster, contract):
    near, far = Traffic(contract.messages), Traffic(contract.messages, clock_us=1_761_000_000_000_000)
    send(cluster, contract, near, batches=2)
    send(cluster, contract, far, batches=2, host="far/away")
    cluster.run("finalize")
    for resource in RESOURCES:
        files = json_files(cluster.data, resource)
        assert len(files) == 2, files
        by_suffix = {"far" in path.name: path for path in files}
        for is_far, traffic in ((False, near), (True, far)):
            events = trace_events(by_suffix[is_far])
            stamps = sorted(
                round(event["ts"]) for event in events if event.get("cat") == resource and event["ph"] in "BEi"
            )
            assert stamps == sorted(traffic.sent[resource])
        assert len(csv_files(cluster.data, resource)) == 1
        assert len({row["Host"] if "Host" in row else row["host"] for row in rows(cluster.data, resource)}) == 2


@pytest.mark.parametrize("cluster", [["--time-zone", "America/New_York"]], indirect=True)
def test_timestamps_are_read_in_the_configured_zone(cluster, contract):
    batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE)
    batch.cpu_trace_data.add(timestamp="2026-01-15 12:00:00.250", pid=7, comm="winter")
    batch.cpu_trace_data.add(timestamp="2026-07-15 12:00:00.500125", pid=7, comm="winter")
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30)
    cluster.run("finalize")
    events = sorted(records(cluster.data, "cpu"), key=lambda event: event["ts"])
    assert [event["ts"] for event in events] == [1768496400250000, 1784131200500125]
    assert [event["args"].get("readable_time", event.get("readable_time")) for event in events] == [
        "12:00:00.250", "12:00:00.500"
    ]


def test_a_window_too_large_for_viewers_becomes_several_files(cluster, contract):
    limits = (ROOT / "Sources/Model/TraceModel/Limits.swift").read_text(encoding="utf-8")
    limit = int(re.search(r"finalFileBytesMax = ([\d_]+)", limits)[1].replace("_", ""))
    # Such a name is half as long again in JSON, which the bytes received say nothing of; two workers may fill twice the window.
    name = '"x' * 2048
    stamps = [1_760_000_000_000_000 + 1000 * number for number in range(18_400)]
    cluster.run("scale", "function=2")
    stub = contract.services.TracerServiceStub(cluster.channel())
    for start in range(0, len(stamps), 800):
        batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE)
        for number in range(start, start + 800):
            # The first call goes on to the end, around all others.
            is_outer = number in (0, len(stamps) - 1)
            batch.trace_data.add(
                timestamp=f"{stamps[number] // 1_000_000}.{stamps[number] % 1_000_000:06d}",
                event_type=int(number > 0) if is_outer else 1 - number % 2,
                cookie=0 if is_outer else (number + 1) // 2, function_name="outer" if is_outer else name,
                pid=4101, tgid=4001,
            )
        assert stub.SendTraceBatch(batch, timeout=60).success
    cluster.run("finalize")

    files = json_files(cluster.data, "function")
    assert sum(path.stat().st_size for path in files) > limit
    assert all(path.stat().st_size <= limit for path in files), [path.stat().st_size for path in files]
    assert len(files) == 2 and files[1].name == files[0].stem + "~002.json"
    parts = [trace_events(path) for path in files]
    assert [round(event["ts"]) for part in parts for event in part if event.get("cat") == "function"] == stamps
    again = [event for event in parts[1] if event.get("cat") == "continued"]
    assert (again[0]["name"], again[0]["ph"], round(again[0]["ts"])) == ("outer", "B", stamps[0])
    for path in files:
        report = check(str(path))
        assert not report["problems"] and "E without B" not in report["kinds"], report

    published = cluster.metrics()["trace_final_files_total"][("resource", "function"),]
    named = [*cluster.data.glob("output/[a-z]*/*function*"), *cluster.data.glob("output/profile/*")]
    assert published == len(named)
    read = json.loads(cluster.tracectl("cat", "--data", str(cluster.data), "--resource", "function").stdout)
    assert [round(event["ts"]) for event in read["traceEvents"] if event["ph"] in "BE"] == stamps


def test_an_empty_window_writes_no_file(cluster):
    cluster.run("finalize")
    assert not json_files(cluster.data) and not csv_files(cluster.data)


def test_last_batch_finalizes(cluster, contract):
    traffic = Traffic(contract.messages)
    send(cluster, contract, traffic, batches=1, is_last_batch=True)
    wait_until(lambda: published(cluster), "files of the last batch's window")
    assert_holds_exactly(cluster.data, traffic)


@pytest.mark.parametrize("cluster", [["--inactivity-timeout", "5"]], indirect=True)
def test_inactivity_finalizes_and_stops(cluster, contract):
    traffic = Traffic(contract.messages)
    send(cluster, contract, traffic, batches=1)
    wait_until(lambda: not cluster.processes(), "the end of every process after five seconds of silence")
    assert_holds_exactly(cluster.data, traffic)
    assert "No cluster runs" in cluster.run("status", check=False).stdout
    # And it can be started again, as it was.
    cluster.up("--inactivity-timeout", "0")
    assert cluster.status()["ready"]


@pytest.mark.parametrize("cluster", [["--retain-bytes", "1K"]], indirect=True)
def test_retention_deletes_the_oldest_windows_whole_and_nothing_else(cluster, contract):
    foreign = cluster.data / "output/json/function_trace_mine.json"
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("mine")

    def finals():
        return set(cluster.data.glob("output/[a-z]*/*"))

    traffic = Traffic(contract.messages)
    windows = []
    for _ in range(2):
        before = finals()
        send(cluster, contract, traffic, batches=1)
        cluster.run("finalize")
        windows.append(finals() - before - {foreign})
        assert len(windows[-1]) >= 3 * len(RESOURCES)
    wait_until(lambda: finals() == windows[1] | {foreign}, "the first window to go as a whole")
    # What it keeps survives a restart, and the newest windows go only by their age.
    cluster.stop()
    cluster.up("--retain-bytes", "off", "--retain-age", "1s")
    wait_until(lambda: finals() == {foreign}, "all windows to go by their age")
    deleted = cluster.metrics()["trace_retention_files_deleted_total"][()]
    assert deleted == len(windows[0] | windows[1])


@pytest.mark.parametrize(
    ("cluster", "suffix"), [(["--compress", "gzip"], ".gz"), (["--compress", "zstd"], ".zst")], indirect=["cluster"]
)
def test_compressed_files_hold_the_same_and_are_read_back(cluster, contract, suffix):
    traffic = Traffic(contract.messages)
    send(cluster, contract, traffic, batches=5)
    cluster.run("finalize")
    files = json_files(cluster.data) + csv_files(cluster.data)
    assert len(files) >= 2 * len(RESOURCES) and {path.suffix for path in files} == {suffix}
    assert_holds_exactly(cluster.data, traffic)
    text = cluster.tracectl("cat", "--data", str(cluster.data), "--resource", "io", "--format", "csv").stdout
    assert len(text.splitlines()) == 1 + len(rows(cluster.data, "io"))


@pytest.mark.parametrize("cluster", [["--csv-columns", "original"]], indirect=True)
def test_tables_of_the_originals_columns_hold_numbers_alone(cluster, contract):
    traffic = Traffic(contract.messages)
    send(cluster, contract, traffic, batches=3)
    cluster.run("finalize")
    assert len(json_files(cluster.data)) == len(RESOURCES)
    assert {path.name.split("_")[0] for path in csv_files(cluster.data)} == set(RESOURCES) - {"gpu"}
    first = {}
    for resource in RESOURCES[:5]:
        (path,) = csv_files(cluster.data, resource)
        with opened(path) as file:
            header, *first[resource] = csv.reader(file)
        assert header == CSV_COLUMNS[resource]
        sent = traffic.sent[resource] if resource != "function" else traffic.completed_calls
        assert len(first[resource]) == len(sent)
        # As the original's detectors do.
        assert all(math.isfinite(float(field)) for row in first[resource] for field in row)

    def cat(resource, *arguments, check=True):
        return cluster.tracectl(
            "cat", "--data", str(cluster.data), "--resource", resource, "--format", "csv", *arguments, check=check
        )

    for resource in RESOURCES[:5]:
        assert list(csv.reader(cat(resource).stdout.splitlines())) == [CSV_COLUMNS[resource], *first[resource]]
    half = traffic.sent["io"][len(traffic.sent["io"]) // 2]
    late = list(csv.DictReader(cat("io", "--from", f"{half / 1e6:.6f}").stdout.splitlines()))
    assert len(late) == sum(ts >= half for ts in traffic.sent["io"])

    # Each window is of one form, whatever was set for those before it.
    cluster.stop()
    cluster.up("--csv-columns", "all")
    send(cluster, contract, traffic, batches=1)
    cluster.run("finalize")
    with opened(csv_files(cluster.data, "io")[-1]) as file:
        header, *second = csv.reader(file)
    assert header[-2:] == ["host", "Timestamp(ns)"]
    refused = cat("io", check=False)
    assert refused.returncode != 0 and not refused.stdout and "--columns original" in refused.stderr
    both = list(csv.reader(cat("io", "--columns", "original").stdout.splitlines()))
    assert both == [CSV_COLUMNS["io"], *first["io"], *(row[:8] for row in second)]
