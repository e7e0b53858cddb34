"""What the router takes, and for how long it holds what it cannot take: on a full disk, of strangers, and last batches."""
import os
import subprocess
import threading
import time

import grpc
import pytest

from cluster import Cluster, wait_until
from outputs import json_files, trace_events
from test_disk import fill, small_disk  # noqa: F401: a fixture
from traffic import Traffic

HOLD_SECONDS = 5


def test_each_call_is_held_for_five_seconds_of_its_own(small_disk, programs, contract):  # noqa: F811
    """24 callers that come one after another while the disk is full: none waits for what is left of others' time."""
    cluster = Cluster(small_disk / "data", programs)
    try:
        cluster.up()
        stub = contract.services.TracerServiceStub(cluster.channel())
        traffic = Traffic(contract.messages)
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        cluster.quiet_status(traffic.events)
        fill(small_disk / "ballast", left=4 << 20)
        held = []

        def call(number):
            batch = contract.messages.TraceBatch(client_id=f"caller-{number}", sequence=1)
            batch.cpu_trace_data.add(pid=1)
            began = time.monotonic()
            with pytest.raises(grpc.RpcError) as answer:
                stub.SendTraceBatch(batch, timeout=60)
            held.append((time.monotonic() - began, answer.value.code()))

        callers = [threading.Thread(target=call, args=(number,)) for number in range(24)]
        for caller in callers:
            caller.start()
            time.sleep(0.25)  # that they come one after another is what this is about
        for caller in callers:
            caller.join(60)
        assert {code for _, code in held} == {grpc.StatusCode.RESOURCE_EXHAUSTED} and len(held) == 24
        seconds = sorted(seconds for seconds, _ in held)
        assert HOLD_SECONDS - 0.2 < seconds[0] and seconds[-1] < HOLD_SECONDS + 2, seconds
        (small_disk / "ballast").unlink()
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
        assert cluster.quiet_status(traffic.events + 24)["rejected_events"] == 24
    finally:
        cluster.stop(check=False)


def test_names_full_of_escapes_never_block_merging(small_disk, programs, contract):  # noqa: F811
    """Such names become half as long again, which is the most that is written. What was taken is always finished, without anybody moving files."""
    cluster = Cluster(small_disk / "data", programs)
    acknowledged = 0
    try:
        cluster.up()
        stub = contract.services.TracerServiceStub(cluster.channel())
        name = '"x' * 500
        clock = 1_760_000_000_000_000
        refused = False
        for _ in range(400):
            batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE)
            for number in range(200):
                clock += 10
                batch.trace_data.add(
                    timestamp=f"{clock // 1_000_000}.{clock % 1_000_000:06d}", event_type=number % 2, cookie=clock // 20,
                    function_name=name, pid=1, tgid=1,
                )
            try:
                assert stub.SendTraceBatch(batch, timeout=30).success
                acknowledged += len(batch.trace_data)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
                refused = True
                break
        assert refused, "400 MB cannot hold it all"
        # Who else writes on the disk may take what is left above what the router keeps free.
        cluster.run("finalize", seconds=90)
        status = cluster.settled_status()
        assert status["written_events"] == acknowledged
        assert os.statvfs(small_disk).f_bavail > 0
        calls = [event for path in json_files(cluster.data, "function") for event in trace_events(path)]
        assert sum(event["ph"] in "BEi" for event in calls) >= acknowledged
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)


def test_a_stranger_cannot_shut_the_owner_of_a_client_id_out(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())

    def send(sequence, rounds=1):
        return traffic.batch(rounds, client_id="owner", sequence=sequence)

    batches = [send(sequence) for sequence in range(1, 4)]
    for batch in batches:
        assert stub.SendTraceBatch(batch, timeout=30).success
    stranger = Traffic(contract.messages, clock_us=1_770_000_000_000_000)
    for sequence in (2**64 - 1, 2**63, 1_000_000, 2**64 - 1000, 2**50, 2**51):
        batch = stranger.batch(1, client_id="owner", sequence=sequence, host="elsewhere")
        assert stub.SendTraceBatch(batch, timeout=30).success
    for batch in batches:
        assert "before" in stub.SendTraceBatch(batch, timeout=30).message
    batches.append(send(4))
    assert "stored" in stub.SendTraceBatch(batches[-1], timeout=30).message
    # And so it is after a restart, by what the log says.
    cluster.run("restart", "router")
    for batch in batches:
        assert "before" in stub.SendTraceBatch(batch, timeout=30, wait_for_ready=True).message
    assert "stored" in stub.SendTraceBatch(send(5), timeout=30).message
    cluster.quiet_status(traffic.events + stranger.events + 7 * len(batches[0].trace_data) * 3)


def test_a_last_batch_soon_after_another_ends_the_window_later(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())

    def windows():
        return len(json_files(cluster.data, "function"))

    stub.SendTraceBatch(traffic.batch(is_last_batch=True), timeout=30)
    wait_until(lambda: windows() == 1, "files of the first last batch")
    stub.SendTraceBatch(traffic.batch(is_last_batch=True), timeout=30)
    wait_until(lambda: windows() == 2, "files of the second one, which came within 10 s", 30)


def test_a_last_batch_that_waits_outlives_a_restart(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(is_last_batch=True), timeout=30)
    wait_until(lambda: len(json_files(cluster.data, "function")) == 1, "files of the first last batch")
    stub.SendTraceBatch(traffic.batch(is_last_batch=True), timeout=30)
    subprocess.run(["kill", "-9", str(cluster.supervised_pid("router"))], check=True)
    wait_until(lambda: len(json_files(cluster.data, "function")) == 2, "files of the second one", 30)
