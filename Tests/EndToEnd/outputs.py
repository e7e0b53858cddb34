"""Reads a cluster's output back with Python's own json and csv."""
import collections
import csv
import gzip
import io
import json
import subprocess

# The columns that the original server's analysis tools read by name, in its order.
CSV_COLUMNS = {
    "function": ["Timestamp", "PID", "Cookie", "Call Count", "AVG Duration(us)"],
    "cpu": [
        "Timestamp", "PID", "CPU Utilization(%)", "OnCPU Time(μs)", "OffCPU Time(μs)", "Migrations",
        "NUMA Migrations", "Hotspot CPU Percentage(%)",
    ],
    "memory": ["Timestamp", "PID", "Alloc_size", "Free_Size", "Current Usage"],
    "network": [
        "Timestamp", "PID", "tx_bytes", "rx_bytes", "total_tx_packets", "total_rx_packets", "active_connections",
    ],
    "io": [
        "Timestamp", "PID", "Read Bytes", "Write Bytes", "READ Latency (ms)", "WRITE Latency (ms)", "Read Ops",
        "Write Ops",
    ],
    "gpu": ["Timestamp", "PID"],
}


def json_files(data, resource="*"):
    return sorted(data.glob(f"output/json/{resource}_trace_*.json*"))


def csv_files(data, resource="*"):
    return sorted(data.glob(f"output/csv/{resource}_trace_*.csv*"))


def opened(path):
    """A final file's text, its line ends as they are."""
    if path.suffix == ".zst":
        done = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True)
        return io.StringIO(done.stdout.decode("utf-8"), newline="")
    return (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8")


def trace_events(path):
    with opened(path) as file:
        return json.load(file)["traceEvents"]


def records(data, resource):
    """The events that stand for what was received, over all files of the resource."""
    return [
        event
        for path in json_files(data, resource)
        for event in trace_events(path)
        if event.get("cat") == resource and event["ph"] in ("B", "E", "i")
    ]


def rows(data, resource):
    found = []
    for path in csv_files(data, resource):
        with opened(path) as file:
            reader = csv.DictReader(file)
            expected = CSV_COLUMNS[resource]
            assert list(reader.fieldnames[: len(expected)]) == expected, path.name
            found += reader
    return found


def assert_holds_exactly(data, traffic):
    """Every event that the traffic made stands in the JSON exactly once, and in the CSV as it should."""
    for resource, sent in traffic.sent.items():
        written = collections.Counter(round(event["ts"]) for event in records(data, resource))
        expected = collections.Counter(sent)
        assert not expected - written, f"{resource}: lost {sum((expected - written).values())} of {len(sent)}"
        assert not written - expected, f"{resource}: {sum((written - expected).values())} too many"
        if resource == "function":
            cookies = collections.Counter(int(row["Cookie"]) for row in rows(data, resource))
            assert cookies == collections.Counter(traffic.completed_calls)
        else:
            stamps = collections.Counter(round(float(row["Timestamp"])) for row in rows(data, resource))
            assert stamps == collections.Counter(stamp // 1000 for stamp in sent), resource
