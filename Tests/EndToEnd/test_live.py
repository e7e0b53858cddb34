"""What is known before a window is published: findings as they are raised, and when each host was heard of last."""
import json
import os
import signal
import threading
import time
import urllib.request

import pytest

from cluster import free_port, wait_until

HOSTS = ("web-1", "db-1")
PROCESSES = range(4001, 4006)
FINDINGS = len(HOSTS) * len(PROCESSES)


@pytest.fixture
def console(stopped):
    address = f"127.0.0.1:{free_port()}"
    stopped.up("--console", address)

    def anomalies(query=""):
        with urllib.request.urlopen(f"http://{address}/api/v1/anomalies{query}", timeout=30) as answer:
            return json.load(answer)

    anomalies.address = f"http://{address}"
    return anomalies


def slow_operations(contract, host, second):
    """A batch in which one operation of each process is slow."""
    batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE, host=host)
    for pid in PROCESSES:
        batch.io_trace_data.add(
            timestamp=f"{1_760_000_000 + second}.0", pid=pid, comm="db", operation="READ", bytes=512,
            latency_ms=500, device="sda", major=8, minor=1, read_bytes=512, read_ops=1,
        )
    return batch


def by_host(samples):
    return {dict(labels)["host"]: value for labels, value in samples.items()}


def test_findings_show_at_once_and_never_twice(stopped, console, contract):
    stub = contract.services.TracerServiceStub(stopped.channel())
    assert console()["incidents"] == []
    for host in HOSTS:
        assert stub.SendTraceBatch(slow_operations(contract, host, 0), timeout=30).success
    wait_until(lambda: console()["findings"] == FINDINGS, "every finding before its window is published")
    assert not list(stopped.data.glob("output/anomalies/*"))
    live = console()
    assert live["complete"]
    assert {(one["host"], one["rule"], one["pid"]) for one in live["incidents"]} == {
        (host, "slow_io", pid) for host in HOSTS for pid in PROCESSES
    }
    assert console("?host=web-1&pid=4002")["findings"] == 1
    assert console("?resource=cpu")["findings"] == 0
    # A worker that dies repeats its findings under the same numbers.
    killed = stopped.pid("io.0")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: stopped.pid("io.0") not in (None, killed), "another worker")
    # Minutes of the events' time later, so that nothing is suppressed.
    assert stub.SendTraceBatch(slow_operations(contract, "web-1", 600), timeout=30).success
    expected = FINDINGS + len(PROCESSES)
    wait_until(lambda: console()["findings"] >= expected, "the findings of the new worker")
    # While the window is published, every answer has each finding once.
    seen = set()
    is_published = threading.Event()

    def ask():
        while not is_published.is_set():
            answer = console()
            seen.add((answer["findings"], answer["complete"]))

    asking = threading.Thread(target=ask)
    asking.start()
    stopped.run("finalize")
    is_published.set()
    asking.join()
    assert seen == {(expected, True)}
    published = console()
    assert published["findings"] == expected
    assert all(incident in published["incidents"] for incident in live["incidents"])
    lines = [
        json.loads(line) for path in stopped.data.glob("output/anomalies/*.jsonl") for line in path.read_text().splitlines()
    ]
    assert len(lines) == expected
    counted = {}
    for labels, value in stopped.metrics()["trace_anomalies_total"].items():
        labels = dict(labels)
        counted[labels["host"], labels["resource"], labels["rule"]] = value
    assert counted == {
        ("web-1", "io", "slow_io"): 2 * len(PROCESSES), ("db-1", "io", "slow_io"): len(PROCESSES)
    }


def test_without_the_aggregator_published_findings_are_shown(stopped, console, contract):
    stub = contract.services.TracerServiceStub(stopped.channel())
    assert stub.SendTraceBatch(slow_operations(contract, "web-1", 0), timeout=30).success
    stopped.run("finalize")
    aggregator = stopped.pid("aggregator")
    os.kill(aggregator, signal.SIGSTOP)
    try:
        answer = console()
    finally:
        os.kill(aggregator, signal.SIGCONT)
    assert (answer["findings"], answer["complete"]) == (len(PROCESSES), False)


def test_each_host_has_the_time_of_its_last_batch(stopped, console, contract):
    stub = contract.services.TracerServiceStub(stopped.channel())
    name = "trace_host_last_batch_timestamp_seconds"
    times = {}
    for second, host in enumerate((*HOSTS, HOSTS[0])):
        began = time.time()
        assert stub.SendTraceBatch(slow_operations(contract, host, second), timeout=30).success
        times[host] = (began, time.time())

        def is_shown():
            shown = by_host(stopped.metrics().get(name, {}))
            return all(shown.get(one, 0) >= begin for one, (begin, _) in times.items()) and shown

        shown = wait_until(is_shown, f"the batch of {host}")
        assert set(shown) == set(times)
        assert all(begin <= shown[one] <= end for one, (begin, end) in times.items())
        with urllib.request.urlopen(f"{console.address}/api/v1/batches", timeout=30) as answer:
            heard = {one["host"]: one["last_batch_ts_ns"] / 1e9 for one in json.load(answer)["hosts"]}
        assert heard == pytest.approx(shown, abs=1e-6) and list(heard) == sorted(heard)
