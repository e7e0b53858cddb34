"""A log that has lost its end or begin, files that go while a router writes to them, damage below checkpoints."""
import json
import os
import re
import signal
import subprocess

import grpc
import pytest

from cluster import ROOT, wait_until
from outputs import assert_holds_exactly
from traffic import Traffic

RESOURCES = ("function", "cpu", "memory", "network", "io", "gpu")


@pytest.fixture
def traffic(contract):
    return Traffic(contract.messages)


def send(cluster, contract, traffic, batches, **fields):
    stub = contract.services.TracerServiceStub(cluster.channel())
    for _ in range(batches):
        assert stub.SendTraceBatch(traffic.batch(**fields), timeout=30, wait_for_ready=True).success


def send_and_save(cluster, contract, traffic, batches, besides=()):
    """As `send`, as one window more; returns once it is in the checkpoints of all workers but those `besides`."""
    before = positions(cluster)
    send(cluster, contract, traffic, batches - 1)
    send(cluster, contract, traffic, 1, is_last_batch=True)
    wait_until(
        lambda: all(lsn > before[name] for name, lsn in positions(cluster).items() if name not in besides), "checkpoints"
    )


def kill_all(cluster):
    """As a machine's end, but for what the kernel has yet to write."""
    for channel in cluster.channels:
        channel.close()
    cluster.channels.clear()
    wait_until(lambda: [os.kill(pid, signal.SIGKILL) for pid in cluster.processes()] == [], "all are dead")


def positions(cluster):
    return {worker["name"]: worker["checkpoint_lsn"] for worker in cluster.status()["workers"]}


def saved(cluster, name):
    """The LSN in a worker's checkpoint, also of one without slots (Sources/Log/IngestLog/CheckpointPosition.swift)."""
    return int.from_bytes((cluster.data / f"checkpoints/{name}.checkpoint").read_bytes()[12:20], "little")


def stats(cluster):
    return json.loads(cluster.tracectl("log", "stats", "--json", "--data", cluster.data).stdout)


def end_of(cluster):
    return stats(cluster)["end_lsn"]


def newest(cluster):
    path = max(cluster.data.glob("log/*.log"))
    return path, int(path.stem)


def accept_what_is_said(cluster, words="has lost its end: it ends at LSN"):
    """The router does not start, says what is lost and what to do, and goes on once that is done."""
    refused = cluster.run("up", "--grpc", cluster.grpc, "--metrics", cluster.http, check=False)
    assert refused.returncode == 1
    assert words in refused.stderr and "tracectl log accept-loss" in refused.stderr, refused.stderr
    # Asked again it says the same again, and nothing is accepted by itself.
    again = cluster.run("up", "--grpc", cluster.grpc, "--metrics", cluster.http, check=False)
    assert again.returncode == 1 and "tracectl log accept-loss" in again.stderr
    assert not cluster.processes()
    verified = cluster.tracectl("log", "verify", "--data", cluster.data, check=False)
    assert verified.returncode in (1, 2)
    if "its begin" in words:
        begin, needed = re.search(r"begins at LSN (\d+), and what stood from (\d+) on", words).groups()
        assert f"lost at the front: LSN {needed} to {begin} " in verified.stdout, verified.stdout
        assert "as the checkpoint of cpu.0 stands" in verified.stdout and "tracectl log accept-loss" in verified.stdout
    accepted = cluster.tracectl("log", "accept-loss", "--data", cluster.data).stdout
    assert accepted.startswith("Accepted: from=")
    cluster.up()
    assert cluster.tracectl("log", "accept-loss", "--data", cluster.data, check=False).returncode != 0
    if "its begin" in words:
        assert "no damage" in cluster.tracectl("log", "verify", "--data", cluster.data).stdout


def assert_all_goes_on(cluster, contract, traffic, received):
    """What is received from now on is applied and published, and every event is accounted for."""
    before = cluster.settled_status()
    assert before["received_events"] == received
    late = Traffic(contract.messages, clock_us=traffic.clock_us + 10_000_000)
    send(cluster, contract, late, 3)
    status = cluster.settled_status()
    assert status["received_events"] == received + late.events
    # What workers had reported above their checkpoints counts as written until they have reported all anew.
    lost = status["dead_lettered_events"] - before["dead_lettered_events"]
    assert lost >= 0 and status["written_events"] == before["written_events"] + late.events - lost
    cluster.run("finalize")
    for resource in RESOURCES:
        rows = sum(
            len(path.read_text().splitlines()) - 1 for path in cluster.data.glob(f"output/csv/{resource}_trace_*.csv")
        )
        assert rows >= len(late.sent[resource]), resource
    # Another start finds nothing left to decide.
    assert cluster.stop().returncode == 0
    cluster.up()
    assert cluster.settled_status()["received_events"] == received + late.events
    return late


@pytest.mark.parametrize("kept", ["half of the last batches", "nothing", "all but the last byte"])
def test_a_log_that_was_cut_waits_for_the_operator(cluster, contract, traffic, kept):
    send_and_save(cluster, contract, traffic, 5)
    begin = positions(cluster)["cpu.0"]
    # One worker has not come as far as the others when all are killed.
    os.kill(cluster.supervised_pid("cpu.0"), signal.SIGSTOP)
    send_and_save(cluster, contract, traffic, 5, besides=["cpu.0"])
    kill_all(cluster)
    # Behind it there may be a tick that was amid its commit, whose loss is none.
    end = saved(cluster, "io.0")
    path, base = newest(cluster)
    sizes = {"half of the last batches": (begin + end) // 2 - base, "nothing": 0, "all but the last byte": end - base - 1}
    os.truncate(path, sizes[kept])
    accept_what_is_said(cluster)
    assert cluster.metrics()["trace_errors_total"][(("kind", "log_damaged"),)] == 1
    assert_all_goes_on(cluster, contract, traffic, traffic.events)
    lost, half = cluster.status()["dead_lettered_events"], len(traffic.sent["cpu"]) // 2
    if kept == "nothing":
        assert lost == half
    elif kept == "all but the last byte":
        assert lost in (0, half // 5)
    else:
        assert 0 < lost < half


def test_a_log_that_is_gone_waits_for_the_operator(cluster, contract, traffic):
    send_and_save(cluster, contract, traffic, 5)
    kill_all(cluster)
    for path in cluster.data.glob("log/*.log"):
        path.unlink()
    accept_what_is_said(cluster)
    assert_all_goes_on(cluster, contract, traffic, traffic.events)
    assert cluster.status()["dead_lettered_events"] == 0


@pytest.mark.parametrize("moment", ["while it runs", "after all were killed"])
def test_a_log_without_the_begin_that_a_worker_needs_waits_for_the_operator(cluster, contract, traffic, moment):
    send_and_save(cluster, contract, traffic, 3)
    begin = positions(cluster)["cpu.0"]
    os.kill(cluster.supervised_pid("cpu.0"), signal.SIGSTOP)
    send_and_save(cluster, contract, traffic, 3, besides=["cpu.0"])
    # Another start begins another file, at which the log begins once the first one is gone.
    router = cluster.supervised_pid("router")
    os.kill(router, signal.SIGKILL)
    wait_until(lambda: cluster.supervised_pid("router") not in (None, router), "another router")
    send_and_save(cluster, contract, traffic, 2, besides=["cpu.0"])
    oldest, second = sorted(cluster.data.glob("log/*.log"))
    words = f"has lost its begin: it begins at LSN {int(second.stem)}, and what stood from {begin} on is gone"
    if moment == "while it runs":
        oldest.unlink()
        lost = cluster.data / "run/router.lost"
        wait_until(lambda: lost.exists() and cluster.supervised_pid("router") is None, "a router that waits")
        assert words in lost.read_text()
        stub = contract.services.TracerServiceStub(cluster.channel())
        with pytest.raises(grpc.RpcError):
            stub.SendTraceBatch(Traffic(contract.messages).batch(), timeout=2)
        again = cluster.run("up", check=False)
        assert again.returncode == 1 and words in again.stderr, again.stderr
        cluster.tracectl("log", "accept-loss", "--data", cluster.data)
        # It begins anew where its checkpoint stands.
        os.kill(cluster.supervised_pid("cpu.0"), signal.SIGKILL)
        cluster.run("restart", "router")
    else:
        kill_all(cluster)
        oldest.unlink()
        accept_what_is_said(cluster, words)
    assert_all_goes_on(cluster, contract, traffic, traffic.events)
    assert cluster.status()["dead_lettered_events"] == len(traffic.sent["cpu"]) // 8 * 3


def assert_written_at_most_once(cluster, lost, *all_traffic):
    """No table has more rows than events were sent to it, and what is missing was counted as lost."""
    missing = {
        resource: sum(len(traffic.sent[resource]) for traffic in all_traffic) - count
        for resource, count in rows(cluster).items()
    }
    assert all(count >= 0 for count in missing.values()), missing
    assert sum(missing.values()) <= lost, missing


def write_a_window_without(cluster, contract, traffic, moves, stopped):
    """Slots of function workers move behind the end of the log that is kept, while some workers stand still.

    Returns the LSN at which the log is to be cut. Who does not stand still has a checkpoint behind the barrier."""
    function = [name for name in ("function.0", "function.1") if name not in stopped]
    for name in stopped:
        os.kill(cluster.supervised_pid(name), signal.SIGSTOP)
    send(cluster, contract, traffic, 3)
    kept = end_of(cluster)
    send(cluster, contract, traffic, 1)
    before = stats(cluster)
    scaling = subprocess.Popen(
        [ROOT / "scripts/cluster", "scale", f"function={moves}", "--data", cluster.data], env=cluster.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )
    wait_until(lambda: stats(cluster)["records"]["barrier"] > before["records"]["barrier"], "a barrier")
    wait_until(lambda: all(saved(cluster, name) > before["end_lsn"] for name in function), "checkpoints at the barrier")
    send(cluster, contract, traffic, 2)
    if stopped:
        os.killpg(scaling.pid, signal.SIGKILL)
    scaling.wait()
    return kept


@pytest.mark.parametrize("cluster", [["--workers", "function=2"]], indirect=True)
@pytest.mark.parametrize("moves", [1, 2], ids=["slots move to function.0", "slots move to function.1"])
@pytest.mark.parametrize("stopped", [(), ("function.0",), ("function.1",), ("function.0", "function.1")], ids=str)
def test_a_log_that_was_cut_before_slots_moved_goes_on(cluster, contract, traffic, moves, stopped):
    """The barrier that moved slots is lost; some workers had passed it, and others come to where it was."""
    if moves == 2:
        # Both workers run on.
        cluster.tracectl("scale", "function=1", "--data", cluster.data)
    send_and_save(cluster, contract, traffic, 3)
    kept = write_a_window_without(cluster, contract, traffic, moves, stopped)
    kill_all(cluster)
    path, base = newest(cluster)
    os.truncate(path, kept - base)
    accept_what_is_said(cluster)
    late = assert_all_goes_on(cluster, contract, traffic, traffic.events)
    assert_written_at_most_once(cluster, cluster.status()["dead_lettered_events"], traffic, late)


@pytest.mark.parametrize("cluster", [["--workers", "function=2"]], indirect=True)
def test_a_worker_whose_slots_are_nowhere_says_so(cluster, contract, traffic):
    """As above, and the files with the state of the slots are gone too."""
    send_and_save(cluster, contract, traffic, 3)
    kept = write_a_window_without(cluster, contract, traffic, 1, ("function.0",))
    kill_all(cluster)
    path, base = newest(cluster)
    os.truncate(path, kept - base)
    given = list(cluster.data.glob("checkpoints/handover/*"))
    assert given
    for path in given:
        path.unlink()
    cluster.run("up", "--grpc", cluster.grpc, "--metrics", cluster.http, check=False)
    cluster.tracectl("log", "accept-loss", "--data", cluster.data)
    # The scale that was under way goes on with the start. It is left out where the loss is known before it begins, which
    # is no failure, and gives up as soon as it is known later.
    done = cluster.run("up", "--grpc", cluster.grpc, "--metrics", cluster.http, check=False)
    assert done.returncode == (0 if "not scaled to" in done.stderr else 1)
    assert "tracectl skip function.0 --to LSN" in done.stderr, done.stdout + done.stderr
    lost = wait_until(
        lambda: [worker["lost"] for worker in cluster.status()["workers"] if worker.get("lost")], "a lost worker"
    )
    assert len(lost) == 1 and "slots is missing" in lost[0] and "tracectl skip function.0 --to LSN" in lost[0], lost
    # What the other worker had counted of these slots stays, and the account settles.
    written = cluster.status()["written_events"]
    cluster.tracectl("skip", "function.0", "--data", cluster.data, "--to", str(2**60))
    cluster.run("restart", "function.0")
    late = assert_all_goes_on(cluster, contract, traffic, traffic.events)
    status = cluster.status()
    assert status["written_events"] >= written + late.events, (written, status)


def rows(cluster):
    """Of the tables that have one for each event, by resource."""
    return {
        resource: sum(
            len(path.read_text().splitlines()) - 1 for path in cluster.data.glob(f"output/csv/{resource}_trace_*.csv")
        )
        for resource in RESOURCES[1:-1]
    }


def test_behind_a_loss_that_only_checkpoints_tell_of_all_is_published(cluster, contract, traffic):
    """As of a version that noted nothing beside its log: windows that workers have ended are not given again."""
    send_and_save(cluster, contract, traffic, 5)
    send_and_save(cluster, contract, traffic, 5)
    wait_until(lambda: rows(cluster)["cpu"] == len(traffic.sent["cpu"]), "two windows are published")
    kill_all(cluster)
    (cluster.data / "checkpoints/router.end").unlink()
    os.truncate(newest(cluster)[0], 40_000)
    accept_what_is_said(cluster)
    said = (cluster.data / "logs/router/current").read_text()
    assert "nothing says how many events that were" in said and "lost events are in no count" in said
    late = Traffic(contract.messages, clock_us=traffic.clock_us + 10_000_000)
    send(cluster, contract, late, 3)
    cluster.run("finalize")
    assert rows(cluster) == {
        resource: len(traffic.sent[resource]) + len(late.sent[resource]) for resource in RESOURCES[1:-1]
    }
    assert cluster.stop().returncode == 0


def test_nothing_is_acknowledged_into_a_log_that_was_removed(cluster, contract, traffic):
    send(cluster, contract, traffic, 3)
    router = cluster.supervised_pid("router")
    for path in cluster.data.glob("log/*.log"):
        path.unlink()
    stub = contract.services.TracerServiceStub(cluster.channel())
    batch = traffic.batch(client_id="client", sequence=1)
    with pytest.raises(grpc.RpcError):
        stub.SendTraceBatch(batch, timeout=30)
    # What was open is put back, with the batch whose sender sends it again.
    wait_until(lambda: cluster.supervised_pid("router") not in (None, router), "another router")
    assert stub.SendTraceBatch(batch, timeout=30, wait_for_ready=True).success
    status = cluster.settled_status()
    assert status["written_events"] == traffic.events and status["dead_lettered_events"] == 0
    assert "was removed or moved away, and is written anew" in (cluster.data / "logs/router/current").read_text()


def test_a_quiet_router_notices_that_its_log_was_removed(cluster, contract, traffic):
    send(cluster, contract, traffic, 3)
    cluster.quiet_status(traffic.events)
    router = cluster.supervised_pid("router")
    for path in cluster.data.glob("log/*.log"):
        path.unlink()
    wait_until(lambda: cluster.supervised_pid("router") not in (None, router), "another router", 10)
    assert cluster.settled_status()["written_events"] == traffic.events


def test_only_what_was_not_applied_counts_as_lost(cluster, contract, traffic):
    """Damage below the checkpoints of all workers but one, which has applied none of it, and one that has applied a part."""
    send_and_save(cluster, contract, traffic, 3)
    begin = positions(cluster)["cpu.0"]
    os.kill(cluster.supervised_pid("cpu.0"), signal.SIGSTOP)
    send_and_save(cluster, contract, traffic, 1, besides=["cpu.0"])
    os.kill(cluster.supervised_pid("io.0"), signal.SIGSTOP)
    send_and_save(cluster, contract, traffic, 2, besides=["cpu.0", "io.0"])
    send(cluster, contract, traffic, 1, resources=("gpu",))
    kill_all(cluster)
    path, base = newest(cluster)
    whole = path.read_bytes()
    # All from the first of those batches to the last but one: their magics are all that is changed.
    content = bytearray(whole)
    end = whole.rindex(b"TRL1", 0, end_of(cluster) - base)
    last = whole.rindex(b"TRL1", 0, end)
    at = begin - base
    while at <= last:
        hit = whole.find(b"TRL1", at, last + 4)
        if hit < 0:
            break
        content[hit] ^= 1
        at = hit + 4
    path.write_bytes(content)
    cluster.up()
    status = cluster.settled_status()
    assert status["received_events"] == traffic.events
    # Of cpu's all three batches, of io's the last two.
    of_one = len(traffic.sent["cpu"]) // 6
    assert status["dead_lettered_events"] == 5 * of_one, status
    assert status["written_events"] == traffic.events - status["dead_lettered_events"]
    done = cluster.stop(check=False)
    assert done.returncode == 0, done.stdout + done.stderr + cluster.logs()


def test_a_stop_after_the_machine_s_end_is_not_taken_for_done(cluster, contract, traffic):
    send(cluster, contract, traffic, 2)
    kill_all(cluster)
    done = cluster.stop(check=False)
    assert done.returncode == 1 and "did not end in order" in done.stderr, done.stderr
    cluster.up()
    assert "everything received is under" in cluster.stop().stdout
    assert_holds_exactly(cluster.data, traffic)
    assert "No cluster runs" in cluster.stop().stdout


# Clocks


@pytest.mark.parametrize(
    "offset",
    [-3_600, -80 * 365 * 86_400, 236 * 365 * 86_400, 400 * 365 * 86_400],
    ids=["an hour back", "before 1970", "year 2262", "beyond 2262"],
)
def test_a_cluster_starts_and_goes_on_whatever_the_clock_is_set_to(cluster, contract, traffic, offset):
    send(cluster, contract, traffic, 2)
    cluster.stop()
    cluster.environment["TRACE_FAULT_CLOCK_OFFSET"] = str(offset)
    cluster.up()
    send(cluster, contract, traffic, 2)
    for name in ("router", "cpu.0", "aggregator"):
        before = cluster.supervised_pid(name)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: cluster.pid(name) not in (None, before), f"another {name} is seen", 15)
        send(cluster, contract, traffic, 1)
    cluster.run("finalize")
    status = cluster.settled_status()
    assert status["written_events"] == status["received_events"] == traffic.events
    # And forward again.
    cluster.stop()
    del cluster.environment["TRACE_FAULT_CLOCK_OFFSET"]
    cluster.up()
    send(cluster, contract, traffic, 1)
    assert cluster.settled_status()["written_events"] == traffic.events
