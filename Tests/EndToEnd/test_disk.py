"""A disk that fills up: batches are refused before what is held can no longer be finished, and taken again by themselves."""
import os
import signal
import subprocess

import grpc
import pytest

from cluster import Cluster, wait_until
from outputs import assert_holds_exactly
from test_kills import Oracle
from traffic import Traffic


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own of 400 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(path, left):
    """Leaves `left` bytes free on the file system of `path`."""
    free = os.statvfs(path.parent)
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - left)


def refused(cluster, reason):
    counts = cluster.metrics().get("trace_batches_refused_total", {})
    return counts.get((("reason", reason),), 0)


def test_a_disk_that_fills_up_refuses_batches_until_there_is_room(small_disk, programs, contract):
    cluster = Cluster(small_disk / "data", programs)
    try:
        cluster.up()
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        cluster.quiet_status(traffic.events)

        fill(small_disk / "ballast", left=8 << 20)
        batch = contract.messages.TraceBatch(host="late", semantics=contract.messages.CUMULATIVE)
        batch.cpu_trace_data.add(pid=1)
        with pytest.raises(grpc.RpcError) as answer:
            stub.SendTraceBatch(batch, timeout=30)
        assert answer.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "bytes free" in answer.value.details()
        wait_until(lambda: refused(cluster, "disk_space") == 1, "the refusal is counted")
        wait_until(lambda: cluster.metrics()["trace_router_accepting"][()] == 0, "the router says so")
        # What is held is finished all the same.
        cluster.run("finalize")

        # The call waits while there is no room, and is taken once there is.
        late = stub.SendTraceBatch.future(traffic.batch(), timeout=30)
        (small_disk / "ballast").unlink()
        assert late.result().success
        wait_until(lambda: cluster.metrics()["trace_router_accepting"][()] == 1, "the router accepts again")
        assert cluster.quiet_status(traffic.events + 1)["rejected_events"] == 1
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


def test_output_on_a_volume_of_its_own_is_watched_too(small_disk, tmp_path, programs, contract):
    cluster = Cluster(tmp_path / "data", programs)
    (small_disk / "output").mkdir()
    cluster.data.mkdir()
    (cluster.data / "output").symlink_to(small_disk / "output")
    try:
        cluster.up()
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        cluster.quiet_status(traffic.events)
        fill(small_disk / "ballast", left=8 << 20)
        batch = contract.messages.TraceBatch(host="late", semantics=contract.messages.CUMULATIVE)
        batch.cpu_trace_data.add(pid=1)
        with pytest.raises(grpc.RpcError) as answer:
            stub.SendTraceBatch(batch, timeout=30)
        assert answer.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "volume of output/ has" in answer.value.details()
        wait_until(lambda: cluster.metrics()["trace_router_accepting"][()] == 0, "the router says so")
        (small_disk / "ballast").unlink()
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


def test_a_worker_saves_what_it_has_on_a_full_disk(small_disk, programs, contract):
    cluster = Cluster(small_disk / "data", programs)
    checkpoint = cluster.data / "checkpoints/cpu.0.checkpoint"
    try:
        cluster.up()
        traffic = Traffic(contract.messages)
        contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
        cluster.quiet_status(traffic.events)
        # The one of its start, which holds nothing.
        before = checkpoint.read_bytes()
        fill(small_disk / "ballast", left=0)
        # Asked to end, it needs room for its rows and its checkpoint: it has kept some.
        worker = cluster.pid("cpu.0")
        os.kill(worker, signal.SIGTERM)
        wait_until(lambda: cluster.pid("cpu.0") not in (None, worker), "the worker has ended and started again")
        assert checkpoint.read_bytes() != before
        (small_disk / "ballast").unlink()
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


def test_a_disk_filled_by_others_costs_no_acknowledged_event(small_disk, programs, contract):
    """Not a byte is left while workers hold events; all is written once there is room again."""
    cluster = Cluster(small_disk / "data", programs)
    ballast = small_disk / "ballast"
    traffic = Traffic(contract.messages)
    oracle = Oracle()
    codes = set()
    try:
        cluster.up()
        stub = contract.services.TracerServiceStub(cluster.channel())

        def send(rounds):
            before = Oracle.state(traffic)
            try:
                assert stub.SendTraceBatch(traffic.batch(rounds=rounds), timeout=30).success
            except grpc.RpcError as error:
                codes.add(error.code())
                return False  # and none of it may be written
            oracle.note(traffic, before, True)
            return True

        assert send(2000)
        # These are acknowledged, but reach their workers only when the disk is full.
        stopped = [cluster.supervised_pid(name) for name in ("function.0", "cpu.0", "gpu.0")]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(5):
                assert send(1000)
            full = subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64K"], capture_output=True, text=True)
            assert "No space left" in full.stderr
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        finalize = subprocess.Popen(
            [cluster.programs / "tracectl", "finalize", "--data", cluster.data],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: not send(1), "a refusal", 60)
        wait_until(lambda: not send(1), "another refusal", 60)

        ballast.unlink()
        wait_until(lambda: send(1), "a batch that is taken", 60)
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        finalize.wait(120)
        cluster.run("finalize")
        status = cluster.settled_status()
        assert status["written_events"] == sum(map(len, oracle.acknowledged.values()))
        oracle.check(cluster.data)
    except BaseException:
        ballast.unlink(missing_ok=True)
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)
