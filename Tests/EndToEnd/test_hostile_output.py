"""Input that would make a worker write without bounds, or hold it up in the middle of a batch."""
import json
import os
import signal
import subprocess
import threading
import time

import grpc
import pytest

from cluster import Cluster, wait_until
from outputs import assert_holds_exactly, json_files, trace_events
from test_disk import small_disk  # noqa: F401
from traffic import Traffic

PROCESSES = 8
ENTRIES = 40_000
REPEATED_PER_EVENT = 64
REPEATED_PER_SLOT = 128 << 10


def entries(messages, window, count, host="flood"):
    """Entries without exits, 8 on each thread."""
    batch = messages.TraceBatch(host=host, semantics=messages.CUMULATIVE)
    for number in range(count):
        serial = window * count + number
        batch.trace_data.add(
            timestamp=f"1760000{100 + window * 100 + number // 1000}.{number % 1000:03d}", cookie=serial,
            function_name="never_returns", pid=10_000 + serial // 8, tgid=100 + serial % PROCESSES,
        )
    return batch


class GoodAgent:
    """Sends a few calls again and again beside what a test does, and notes how long each answer took."""

    def __init__(self, cluster, contract):
        self.traffic = Traffic(contract.messages, clock_us=1_770_000_000_000_000)
        self.seconds = []
        self._stub = contract.services.TracerServiceStub(cluster.channel())
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()

    def _run(self):
        while not self._ends.wait(0.05):
            batch = self.traffic.batch(rounds=2, resources=("function", "cpu"), host="good")
            begin = time.monotonic()
            self._stub.SendTraceBatch(batch, timeout=60)
            self.seconds.append(time.monotonic() - begin)


def lost(cluster, kind):
    return cluster.metrics().get("trace_errors_total", {}).get((("kind", kind),), 0)


def test_entries_without_exits_are_repeated_within_bounds(cluster, contract):
    stub = contract.services.TracerServiceStub(cluster.channel())
    sent = 0
    with GoodAgent(cluster, contract) as good:
        for window in range(4):
            stub.SendTraceBatch(entries(contract.messages, window, ENTRIES), timeout=120)
            sent += ENTRIES
            cluster.run("finalize")
    cluster.quiet_status(sent + good.traffic.events)
    cluster.run("finalize")
    good.seconds.sort()
    assert good.seconds[len(good.seconds) * 99 // 100] < 5
    files = [path for path in json_files(cluster.data, "function") if "flood" in path.name]
    # A tick may have found calls that are stuck behind the last one, of some processes.
    assert len(files) in (4, 5)
    begun = 0
    left_out = 0
    for window, path in enumerate(files[:4]):
        events = [event for event in trace_events(path) if event["ph"] == "B"]
        repeated = [event for event in events if event["cat"] == "continued"]
        assert len(events) - len(repeated) == ENTRIES
        size = sum(len(json.dumps(event, separators=(",", ":"))) + 2 for event in repeated)
        assert size <= max(ENTRIES * REPEATED_PER_EVENT, PROCESSES * REPEATED_PER_SLOT)
        assert bool(repeated) == (window > 0)
        left_out += begun - len(repeated)
        begun += ENTRIES
    assert 0 < left_out <= lost(cluster, "open_call_not_repeated") <= left_out + begun
    # The good agent's calls are whole, in each file and over all of them.
    for path in json_files(cluster.data, "function"):
        if "good" in path.name:
            phases = [event["ph"] for event in trace_events(path) if event["ph"] in "BE"]
            assert phases.count("B") == phases.count("E")
    whole = cluster.tracectl("cat", "--data", str(cluster.data), "--resource", "function", "--host", "flood").stdout
    phases = [event["ph"] for event in json.loads(whole)["traceEvents"] if event.get("cat") != "anomaly"]
    assert phases.count("B") == 4 * ENTRIES and phases.count("i") == 0


def test_exits_of_calls_that_were_not_repeated_end_them_over_all_windows(cluster, contract):
    stub = contract.services.TracerServiceStub(cluster.channel())
    begins = entries(contract.messages, 0, ENTRIES)
    stub.SendTraceBatch(begins, timeout=120)
    cluster.run("finalize")
    # A window of few events, after which the slots have earned little.
    stub.SendTraceBatch(entries(contract.messages, 1, PROCESSES), timeout=120)
    cluster.run("finalize")
    ends = contract.messages.TraceBatch(host="flood", semantics=contract.messages.CUMULATIVE)
    for number, begin in enumerate(begins.trace_data):
        end = ends.trace_data.add()
        end.CopyFrom(begin)
        end.event_type = 1
        end.timestamp = f"1760001{100 + number // 1000}.{number % 1000:03d}"
    stub.SendTraceBatch(ends, timeout=120)
    cluster.quiet_status(2 * ENTRIES + PROCESSES)
    cluster.run("finalize")
    last = [path for path in json_files(cluster.data, "function") if "flood" in path.name][-1]
    events = [event for event in trace_events(last) if event.get("cat") in ("function", "continued")]
    count = {phase: sum(event["ph"] == phase for event in events) for phase in "BEi"}
    assert count["i"] > 0 and count["E"] + count["i"] == ENTRIES
    assert all("began" in event["args"] for event in events if event["ph"] == "i")
    whole = cluster.tracectl("cat", "--data", str(cluster.data), "--resource", "function", "--host", "flood").stdout
    phases = [event["ph"] for event in json.loads(whole)["traceEvents"] if event.get("cat") != "anomaly"]
    assert phases.count("B") == ENTRIES + PROCESSES
    assert phases.count("E") == ENTRIES and phases.count("i") == 0


def test_a_long_batch_is_no_hang(tmp_path, programs, contract):
    """It takes a worker of the debug build several times as long as the watchdog waits."""
    cluster = Cluster(tmp_path / "data", programs)
    cluster.environment["TRACE_FAULT_WATCHDOG_SECONDS"] = "2"
    count = 400_000
    try:
        cluster.up()
        worker = cluster.supervised_pid("function.0")
        stub = contract.services.TracerServiceStub(cluster.channel())
        batch = contract.messages.TraceBatch(host="long", semantics=contract.messages.CUMULATIVE)
        for number in range(count):
            batch.trace_data.add(tgid=1 + number % 7, event_type=1, function_name="f")
        begin = time.monotonic()
        stub.SendTraceBatch(batch, timeout=120)
        wait_until(lambda: cluster.status()["written_events"] == count, "all of it", 240)
        print("applied within", time.monotonic() - begin, "s")
        assert cluster.supervised_pid("function.0") == worker
    finally:
        cluster.stop(check=False)


@pytest.mark.parametrize("field", [1, 4], ids=["function", "memory"])
def test_events_of_two_bytes_fit_or_are_refused(small_disk, programs, contract, field):  # noqa: F811
    """Each becomes hundreds of bytes: what is taken is finished, what would not fit is refused."""
    cluster = Cluster(small_disk / "data", programs)
    event = bytes([field << 3 | 2, 0])
    try:
        cluster.up()
        send = cluster.channel().unary_unary("/NeuTracer.TracerService/SendTraceBatch")
        taken = 0
        with pytest.raises(grpc.RpcError) as answer:
            for count in (1_000, 10_000, 40_000, 4_000_000):
                send(event * count, timeout=60)
                taken += count
        assert answer.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "bytes free" in answer.value.details()
        assert taken >= 1_000
        wait_until(lambda: cluster.status()["written_events"] == taken, "what was taken", 60)
        cluster.run("finalize")
        send(event, timeout=60)
        wait_until(lambda: cluster.status()["written_events"] == taken + 1, "one more", 60)
        assert cluster.status()["dead_lettered_events"] == 0
    finally:
        cluster.stop(check=False)


@pytest.mark.parametrize("ends", [False, True], ids=["waits", "ends"])
def test_a_disk_that_is_full_in_the_middle_of_a_batch(small_disk, programs, contract, ends):  # noqa: F811
    """The worker waits, alive, or ends when it is told to; no record is set aside for it."""
    cluster = Cluster(small_disk / "data", programs)
    cluster.environment["TRACE_FAULT_WATCHDOG_SECONDS"] = "1"
    ballast = small_disk / "ballast"
    log = cluster.data / "logs/function.0/current"
    try:
        cluster.up()
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        worker = cluster.supervised_pid("function.0")
        os.kill(worker, signal.SIGSTOP)
        try:
            # More than a worker holds in memory before it writes.
            stub.SendTraceBatch(traffic.batch(rounds=10_000, resources=("function",)), timeout=60)
            full = subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64K"], capture_output=True, text=True)
            assert "No space left" in full.stderr
        finally:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: "The disk is full; waiting" in log.read_text(), "the worker waits")
        if ends:
            os.kill(worker, signal.SIGTERM)
            # The supervisor can't write what it knows of it.
            wait_until(lambda: not os.path.exists(f"/proc/{worker}"), "the worker has ended")
        else:
            wait_until(lambda: lost(cluster, "disk_full") == 1, "metrics that say so")
            # Longer than the watchdog waits.
            time.sleep(4)
            assert cluster.supervised_pid("function.0") == cluster.pid("function.0") == worker
        ballast.unlink()
        status = cluster.quiet_status(traffic.events)
        assert status["dead_lettered_events"] == 0
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    except BaseException:
        ballast.unlink(missing_ok=True)
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)
