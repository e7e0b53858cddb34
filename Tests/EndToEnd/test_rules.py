"""What can be set: the anomaly rules of a running cluster, and what tables guard against."""
import csv
import json
import os
import signal

import grpc
import pytest

from cluster import Cluster, wait_until
from outputs import csv_files, json_files, trace_events

START_S = 1_760_000_000


def io_batch(contract, pid, latency_ms):
    """One operation of a process of its own, so that no cool-down of another one holds."""
    batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE)
    batch.io_trace_data.add(
        timestamp=f"{START_S + pid}.5", pid=pid, comm="crunch", operation="READ", device="sda", latency_ms=latency_ms
    )
    return batch


def send(cluster, contract, batch):
    assert contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30).success


def findings(cluster):
    """Rule and process of every finding in the finalized windows."""
    cluster.run("finalize")
    lines = [line for path in cluster.data.glob("output/anomalies/*.jsonl") for line in path.read_text().splitlines()]
    return sorted((found["rule"], found["pid"]) for found in map(json.loads, lines))


def takeovers(cluster):
    return (cluster.data / "logs/io.0/current").read_text().count("Rules taken over")


def test_reloaded_rules_take_effect_and_wrong_ones_change_nothing(cluster, contract):
    rules = cluster.data / "rules.json"
    send(cluster, contract, io_batch(contract, 11, latency_ms=50))
    assert findings(cluster) == []

    rules.write_text('{"rules": {"io": {"slow_io": {"latency_ms": 20}}}}')
    assert "reload requested from 6 workers" in cluster.run("reload").stdout
    wait_until(lambda: takeovers(cluster) == 1, "the new rules being taken over")
    send(cluster, contract, io_batch(contract, 12, latency_ms=50))
    assert findings(cluster) == [("slow_io", 12)]

    # A wrong file: refused before any worker hears of it, with line and field.
    rules.write_text('{\n"rules": {\n"io": {"slow_io": {"latency_ms": -1}}\n}}')
    refused = cluster.run("reload", check=False)
    assert refused.returncode == 1
    assert "rules.json:3: rules.io.slow_io.latency_ms" in refused.stderr
    # A worker that gets the signal nevertheless logs the same, and keeps the rules that it has.
    os.kill(cluster.pid("io.0"), signal.SIGHUP)
    wait_until(
        lambda: "rules.json:3: rules.io.slow_io.latency_ms" in (cluster.data / "logs/io.0/current").read_text(),
        "the worker's refusal",
    )
    wait_until(
        lambda: cluster.metrics()["trace_errors_total"].get((("kind", "configuration_refused"),)) == 1,
        "the refusal being counted",
    )
    send(cluster, contract, io_batch(contract, 13, latency_ms=50))
    assert findings(cluster) == [("slow_io", 12), ("slow_io", 13)]

    # Without the file the defaults come back; a restart goes on with what was reloaded.
    rules.unlink()
    cluster.run("reload")
    wait_until(lambda: takeovers(cluster) == 2, "the defaults being taken over")
    cluster.run("restart", "io.0")
    send(cluster, contract, io_batch(contract, 14, latency_ms=50))
    assert findings(cluster) == [("slow_io", 12), ("slow_io", 13)]


def test_reload_needs_a_cluster(tmp_path, programs):
    refused = Cluster(tmp_path / "data", programs).run("reload", check=False)
    assert refused.returncode == 1 and "no cluster runs" in refused.stderr


@pytest.mark.parametrize("cluster", [["--csv-formula-guard"]], indirect=True)
def test_guarded_tables_hold_no_formula(cluster, contract):
    name = '=HYPERLINK("http://192.0.2.1","x")'
    batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE)
    for event_type in (0, 1):
        batch.trace_data.add(
            timestamp=f"{START_S}.{event_type}", event_type=event_type, cookie=-5, function_name=name, pid=7, tgid=7
        )
    send(cluster, contract, batch)
    cluster.run("finalize")

    with open(csv_files(cluster.data, "function")[0], newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["Function"] == "'" + name and row["Cookie"] == "-5"
    names = {event["name"] for event in trace_events(json_files(cluster.data, "function")[0]) if event["ph"] in "BE"}
    assert names == {name}
    # Remembered, and ended by its other value.
    settings = cluster.data / "run/cluster.conf"
    assert "csv_formula_guard=on\n" in settings.read_text()
    cluster.stop()
    cluster.up("--csv-formula-guard=off")
    assert "csv_formula_guard=off\n" in settings.read_text()
    assert "--csv-formula-guard" not in (cluster.data / "run/services/io.0/argv").read_text()


def test_a_host_that_is_no_text_is_refused(cluster, contract):
    field = bytes([0xBA, 0x06, 2, 0x61, 0xFF])
    call = cluster.channel().unary_unary("/NeuTracer.TracerService/SendTraceBatch")
    with pytest.raises(grpc.RpcError) as refused:
        call(field, timeout=30)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "host: no valid UTF-8" in refused.value.details()
