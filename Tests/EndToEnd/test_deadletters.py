"""Records that end their worker, workers that hang, and what becomes of their events."""
import json
import os
import signal
import subprocess

import pytest

from cluster import Cluster, wait_until
from outputs import assert_holds_exactly
from traffic import Traffic

POISON = "poison_for_the_worker"


def poisoned(messages, traffic, calls=2):
    """A batch with two good cpu events and function events that are faulty; the traffic remembers the cpu ones."""
    batch = traffic.batch(rounds=2, resources=("cpu",), host="poisoner")
    for number in range(2 * calls):
        batch.trace_data.add(
            timestamp=f"1760001000.{number:06d}", event_type=number % 2, cookie=900 + number // 2,
            function_name=POISON, pid=66, tgid=66,
        )
    return batch


def remember(traffic, calls=2):
    """What `poisoned` made counts as sent: it is written after all."""
    traffic.sent["function"] += [1760001000_000000 + number for number in range(2 * calls)]
    traffic.completed_calls += [900 + number for number in range(calls)]


def running(tmp_path, programs, **faults):
    cluster = Cluster(tmp_path / "data", programs)
    cluster.environment |= faults
    cluster.up()
    return cluster


@pytest.mark.parametrize(
    "faults, cause",
    [
        ({"TRACE_FAULT_CRASH_ON": POISON}, "signal"),
        ({"TRACE_FAULT_HANG_ON": POISON, "TRACE_FAULT_WATCHDOG_SECONDS": "1"}, "hanging"),
    ],
)
def test_a_record_that_ends_its_worker_is_set_aside_and_can_be_replayed(
    tmp_path, programs, contract, faults, cause
):
    cluster = running(tmp_path, programs, **faults)
    try:
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        stub.SendTraceBatch(poisoned(contract.messages, traffic), timeout=30)
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        status = cluster.quiet_status(traffic.events + 4)
        assert status["dead_lettered_events"] == 4

        # A worker or router that is restarted comes to the same end.
        for name in ("function.0", "router"):
            victim = cluster.supervised_pid(name)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: cluster.supervised_pid(name) not in (None, victim), f"{name} started again")
        stub.SendTraceBatch(traffic.batch(), timeout=30, wait_for_ready=True)
        assert cluster.quiet_status(traffic.events + 4)["dead_lettered_events"] == 4
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)

        data = ("--data", cluster.data)
        (letter,) = json.loads(cluster.tracectl("deadletter", "list", "--json", *data).stdout)["letters"]
        assert letter["worker"] == "function.0" and letter["cause"] == "crash" and cause in letter["reason"]
        assert letter["events"] == 4 and letter["hosts"] == ["poisoner"] and not letter["replayed"]
        name = letter["name"]
        assert name in cluster.tracectl("deadletter", "list", *data).stdout
        shown = cluster.tracectl("deadletter", "show", name, *data).stdout
        assert POISON in shown and "poisoner" in shown
        done = cluster.tracectl("deadletter", "show", "function.0-1-crash", *data, check=False)
        assert done.returncode == 1 and "function.0-1-crash" in done.stderr

        # The bug is fixed.
        for variable in faults:
            cluster.environment.pop(variable)
        cluster.stop()
        cluster.up()
        for _ in range(2):  # a second time counts for nothing
            cluster.tracectl("deadletter", "replay", name, "--server", cluster.grpc, *data)
        status = cluster.quiet_status(traffic.events + 4 + 4 + 4)
        assert status["dead_lettered_events"] == 4 and status["deduplicated_events"] == 4
        (letter,) = json.loads(cluster.tracectl("deadletter", "list", "--json", *data).stdout)["letters"]
        assert letter["replayed"]
        cluster.run("finalize")
        remember(traffic)
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


def test_kills_from_outside_condemn_no_record(tmp_path, programs, contract):
    """The worker hangs at the record, and is killed there five times."""
    cluster = running(tmp_path, programs, TRACE_FAULT_HANG_ON=POISON)
    try:
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        stub.SendTraceBatch(poisoned(contract.messages, traffic), timeout=30)

        def position(pid):
            """What the worker's process is at, as its cell says once that process has taken it over."""
            if f"pid={pid} " not in (cluster.data / "logs/router/current").read_text():
                return None
            at = int.from_bytes((cluster.data / "run/function.0.cell").read_bytes()[8:16], "little")
            return at if at != 2**64 - 1 else None

        places = set()
        for _ in range(5):
            victim = wait_until(lambda: cluster.supervised_pid("function.0"), "the worker runs")
            places.add(wait_until(lambda: position(victim), "the worker is at the record"))
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: cluster.supervised_pid("function.0") not in (None, victim), "started again")
        assert len(places) == 1
        assert not list(cluster.data.glob("deadletters/*"))

        cluster.environment.pop("TRACE_FAULT_HANG_ON")
        victim = cluster.supervised_pid("function.0")
        os.kill(victim, signal.SIGKILL)
        for pid in cluster.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not cluster.processes(), "every process gone")
        cluster.up()
        remember(traffic)
        assert cluster.quiet_status(traffic.events)["dead_lettered_events"] == 0
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


@pytest.mark.parametrize("state", ["stopped", "down"])
def test_a_worker_that_does_not_return_is_skipped(cluster, contract, state):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    cluster.run("finalize")
    service = cluster.data / "run/services/function.0"
    victim = cluster.supervised_pid("function.0")
    if state == "stopped":
        os.kill(victim, signal.SIGSTOP)
    else:
        subprocess.run(["s6-svc", "-d", service], check=True)
        wait_until(lambda: cluster.supervised_pid("function.0") is None, "function.0 is down")

    events, calls = len(traffic.sent["function"]), len(traffic.completed_calls)
    for _ in range(3):
        stub.SendTraceBatch(traffic.batch(), timeout=30)
    lost = traffic.sent["function"][events:], traffic.completed_calls[calls:]
    del traffic.sent["function"][events:], traffic.completed_calls[calls:]

    skip = ("skip", "--data", cluster.data, "--to")
    assert "set aside" in cluster.tracectl(*skip, str(2**60), "function.0").stdout
    for arguments, reason in (((*skip, "1", "function.0"), "stands at"), ((*skip, "9", "function.63"), "no worker")):
        done = cluster.tracectl(*arguments, check=False)
        assert done.returncode == 1 and reason in done.stderr
    if state == "down":
        subprocess.run(["s6-svc", "-u", service], check=True)
    wait_until(lambda: cluster.supervised_pid("function.0") not in (None, victim), "function.0 started again")
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    status = cluster.quiet_status(traffic.events + len(lost[0]))
    assert status["dead_lettered_events"] == len(lost[0])
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)

    (letter,) = json.loads(cluster.tracectl("deadletter", "list", "--json", "--data", cluster.data).stdout)["letters"]
    assert letter["cause"] == "skip" and letter["events"] == len(lost[0])
    cluster.tracectl("deadletter", "replay", letter["name"], "--server", cluster.grpc, "--data", cluster.data)
    traffic.sent["function"] += lost[0]
    traffic.completed_calls += lost[1]
    cluster.quiet_status(traffic.events + len(lost[0]))
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)
