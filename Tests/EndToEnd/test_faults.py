"""System calls that fail, a disk that became read-only, directories that are not what they should be."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from cluster import Cluster, free_port, wait_until
from log_reader import crc32c
from outputs import assert_holds_exactly
from test_operation import Sender
from traffic import Traffic


@pytest.fixture
def sender(cluster, contract):
    sender = Sender(cluster, contract, "sender", clock_us=1_760_000_000_000_000)
    yield sender
    sender.stopping.set()


# System calls that fail in a running process


@contextlib.contextmanager
def injected(pid, *faults):
    """Lets system calls of a process fail as strace's -e inject= says, until the block ends or the process does."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not there")
    calls = ",".join(fault.partition(":")[0] for fault in faults)
    with tempfile.NamedTemporaryFile() as trace:
        command = ["strace", "-f", "-qq", "-o", trace.name, "-p", str(pid), "-e", f"trace={calls}"]
        for fault in faults:
            command += ["-e", f"inject={fault}"]
        tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        def count():
            text = pathlib.Path(trace.name).read_text()
            return text.count("(INJECTED)") + text.count("(DELAYED)")

        def attached():
            if tracer.poll() is not None:
                # Under load the fault may have hit, and ended the process, by now.
                if count():
                    return True
                pytest.skip(f"no process may be traced here: {tracer.stderr.read().strip()}")
            try:
                threads = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
                return all(f"TracerPid:\t{tracer.pid}\n" in (one / "status").read_text() for one in threads)
            except OSError:
                return False

        try:
            wait_until(attached, f"strace at process {pid}")
            yield count
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
                tracer.wait(30)
            tracer.stderr.close()


def meet(cluster, sender, name, *faults, finalizing):
    """Load before, during and after the faults; returns the process ids before and after."""
    sender.advance()
    pid = cluster.supervised_pid(name)
    with injected(pid, *faults) as count:
        if finalizing:
            finalize = threading.Thread(target=cluster.run, args=("finalize",), kwargs={"check": False})
            finalize.start()
        wait_until(count, f"a fault in {name}")
        sender.advance()
        if finalizing:
            wait_until(lambda: count() >= 2 or not os.path.exists(f"/proc/{pid}"), "the faults' effect")
    if finalizing:
        finalize.join(120)
    wait_until(lambda: cluster.supervised_pid(name) is not None and cluster.status()["ready"], "a cluster that is ready")
    sender.advance()
    traffic = sender.finish()
    cluster.run("finalize")
    status = cluster.settled_status()
    assert status["written_events"] == traffic.events
    assert_holds_exactly(cluster.data, traffic)
    return pid, cluster.supervised_pid(name)


@pytest.mark.parametrize("fault", ["fdatasync:error=EIO:when=3", "pwrite64:error=EIO:when=3+2"])
def test_a_router_whose_disk_fails_acknowledges_nothing_and_starts_anew(cluster, sender, fault):
    """What a failed write or sync left on the disk is unknown; it is never tried again.

    Every second write fails, as those of the log take turns with notes of its end, which may fail.
    """
    before, after = meet(cluster, sender, "router", fault, finalizing=False)
    assert after != before
    log = (cluster.data / "logs/router/current").read_text()
    assert "can no longer be trusted" in log and "Input/output error" in log


def test_a_router_without_disk_space_waits_for_it(cluster, sender):
    before, after = meet(cluster, sender, "router", "pwrite64:error=ENOSPC:when=1..8", finalizing=False)
    assert after == before
    assert "waits for disk space" in (cluster.data / "logs/router/current").read_text()


def test_a_slow_disk_costs_time_only(cluster, sender):
    before, after = meet(cluster, sender, "router", "fdatasync:delay_enter=150000:when=1..10", finalizing=False)
    assert after == before


@pytest.mark.parametrize(
    ("fault", "dies"),
    [
        ("fdatasync:error=EIO:when=1", True),
        ("pwrite64:error=EIO:when=2", True),
        ("pwrite64:error=ENOSPC:when=1..5", False),
    ],
)
def test_a_worker_whose_disk_fails_repeats_its_part(cluster, sender, fault, dies):
    before, after = meet(cluster, sender, "function.0", fault, finalizing=True)
    assert (after != before) == dies


@pytest.mark.parametrize("fault", ["fdatasync:error=EIO:when=1..3", "pwrite64:error=ENOSPC:when=1..3"])
def test_an_aggregator_whose_disk_fails_merges_again(cluster, sender, fault):
    meet(cluster, sender, "aggregator", fault, finalizing=True)


# A disk that takes nothing


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", disk], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"nothing may be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_disk_that_became_read_only_is_named(small_disk, programs, contract):
    cluster = Cluster(small_disk / "data", programs)
    traffic = Traffic(contract.messages)
    try:
        cluster.up()
        contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
        cluster.stop()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        refused = cluster.run("up", check=False)
        assert refused.returncode == 1 and "ead-only file system" in refused.stderr, refused.stderr
        for name in ("trace-router", "trace-aggregator"):
            done = start(cluster, name)
            assert done.returncode == 1 and "ead-only file system" in done.stderr, done.stderr
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        cluster.up()
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


# A data directory that is not what it should be


def start(cluster, name, data=None):
    """One process by itself, which is expected to end with a word."""
    arguments = {
        "trace-router": ["--grpc", f"127.0.0.1:{free_port()}"],
        "trace-aggregator": ["--metrics", f"127.0.0.1:{free_port()}"],
        "trace-worker": ["--resource", "cpu", "--index", "0"],
    }
    return subprocess.run(
        [cluster.programs / name, "--data", data or cluster.data, *arguments[name]],
        capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
    )


def test_a_missing_data_directory_is_named(programs, tmp_path):
    done = Cluster(tmp_path / "data", programs).tracectl("log", "stats", "--data", str(tmp_path / "no"), check=False)
    assert done.returncode == 1
    assert f"There is no data directory {tmp_path / 'no'}" in done.stderr and "--data" in done.stderr


@pytest.mark.parametrize("name", ["trace-router", "trace-worker", "trace-aggregator"])
def test_a_second_process_of_a_name_is_refused(cluster, name):
    done = start(cluster, name)
    assert done.returncode == 1
    assert "nother" in done.stderr and "--data" in done.stderr, done.stderr
    assert cluster.status()["ready"]


def stopped(cluster, contract):
    traffic = Traffic(contract.messages)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    cluster.stop()
    return traffic


def damaged_digit(text):
    """Another salt: whoever took it would find not one record of the log."""
    place = text.index("salt=") + 5
    return text[:place] + str((int(text[place]) + 1) % 9 + 1) + text[place + 1:]


@pytest.mark.parametrize(
    "change", [damaged_digit, lambda text: text[: len(text) // 2], lambda text: "", lambda text: None],
    ids=["another salt", "half", "empty", "missing"],
)
def test_a_damaged_manifest_is_refused_and_nothing_is_touched(cluster, contract, change):
    traffic = stopped(cluster, contract)
    manifest = cluster.data / "manifest"
    whole = manifest.read_text()
    before = {path: path.stat().st_mtime_ns for path in (cluster.data / "log").iterdir()}
    damaged = change(whole)
    for copy in (manifest, cluster.data / "manifest.mirror"):
        if damaged is None:
            copy.unlink()
        else:
            copy.write_text(damaged)
    done = start(cluster, "trace-router")
    assert done.returncode == 1
    assert "manifest" in done.stderr and "backup" in done.stderr, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (cluster.data / "log").iterdir()} == before
    manifest.write_text(whole)
    cluster.up()
    assert_holds_exactly(cluster.data, traffic)


def flip(path, at=100):
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])


def copies(cluster, name):
    path = cluster.data / f"checkpoints/{name}.checkpoint"
    return path, path.with_name(path.name + ".mirror")


@pytest.mark.parametrize("copy", [0, 1], ids=["the first copy", "the mirror"])
def test_a_damaged_copy_of_a_checkpoint_costs_nothing(cluster, contract, copy):
    traffic = stopped(cluster, contract)
    for name in ("cpu.0", "function.0"):
        flip(copies(cluster, name)[copy])
    cluster.up()
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    cluster.quiet_status(traffic.events)
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)
    damaged = copies(cluster, "cpu.0")[copy]
    assert f"checkpoints/{damaged.name} is damaged" in (cluster.data / "logs/cpu.0/current").read_text()
    first, mirror = (path.read_bytes() for path in copies(cluster, "cpu.0"))
    assert first == mirror
    key = (("kind", "checkpoint_damaged"),)
    wait_until(lambda: cluster.metrics()["trace_errors_total"][key] == 2, "both damages counted")


def damage_both(cluster, name):
    for path in copies(cluster, name):
        flip(path)


def worker(cluster, name):
    return next(worker for worker in cluster.status()["workers"] if worker["name"] == name)


def assert_is_down_for_good(cluster, name):
    """It is left down, everybody says so, and nobody waits for it."""
    wait_until(lambda: worker(cluster, name).get("lost"), f"{name} is known to be lost")
    found = worker(cluster, name)
    assert not found["up"] and f"checkpoints/{name}.checkpoint is damaged" in found["lost"]
    said = cluster.run("status").stdout
    assert f"{name} is down for good" in said and f"tracectl skip {name} --to LSN" in said, said
    assert cluster.metrics()["trace_worker_lost"][(("worker", name),)] == 1
    log = (cluster.data / f"logs/{name}/current").read_text()
    starts = log.count(" starting: ")
    assert cluster.supervised_pid(name) is None
    return starts


def test_a_worker_whose_checkpoint_is_lost_stays_down_and_can_begin_anew(cluster, contract):
    """Stopped in order, so that all it had is published and counted: nothing is missing in the end."""
    traffic = stopped(cluster, contract)
    damage_both(cluster, "cpu.0")
    done = start(cluster, "trace-worker")
    assert done.returncode == 65 and "tracectl skip cpu.0 --to LSN" in done.stderr, done.stderr
    assert "cpu.0 is down for good" in cluster.up().stderr
    starts = assert_is_down_for_good(cluster, "cpu.0")

    # The others go on.
    stub = contract.services.TracerServiceStub(cluster.channel())
    for _ in range(3):
        stub.SendTraceBatch(traffic.batch(), timeout=30)
    others = traffic.events - len(traffic.sent["cpu"])

    def written():
        counted = cluster.metrics()["trace_events_total"]
        return sum(value for labels, value in counted.items() if ("resource", "cpu") not in labels)

    wait_until(lambda: written() == others, "the others' events are written")
    late = len(traffic.sent["cpu"]) - 10  # the batch before the damage has 10

    # The remedy.
    skip = ("skip", "cpu.0", "--data", cluster.data, "--to")
    said = cluster.tracectl(*skip, str(2**60)).stdout
    assert f"{late} events" in said and "scripts/cluster restart cpu.0" in said, said
    cluster.run("restart", "cpu.0")
    assert (cluster.data / "logs/cpu.0/current").read_text().count(" starting: ") == starts + 1
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    status = cluster.settled_status()
    assert status["received_events"] == traffic.events and status["dead_lettered_events"] == late
    assert "lost" not in worker(cluster, "cpu.0")
    cluster.run("finalize")

    # What was set aside can be had back.
    (letter,) = json.loads(cluster.tracectl("deadletter", "list", "--json", "--data", cluster.data).stdout)["letters"]
    assert letter["events"] == late and letter["cause"] == "skip"
    cluster.tracectl("deadletter", "replay", letter["name"], "--server", cluster.grpc, "--data", cluster.data)
    status = cluster.settled_status()
    assert status["received_events"] == traffic.events + late
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)

    # It lasts.
    cluster.stop()
    cluster.up()
    assert cluster.settled_status()["received_events"] == traffic.events + late
    assert_holds_exactly(cluster.data, traffic)


def test_a_worker_that_begins_anew_after_a_kill_loses_nothing_but_statistics(cluster, contract):
    """Its rows are counted as written, and lie in segments that nobody can make files of: the letter has them."""
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    cluster.run("finalize")
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    cluster.quiet_status(traffic.events)
    subprocess.run(["s6-svc", "-wd", "-T", "30000", "-dk", cluster.data / "run/services/io.0"], check=True)
    damage_both(cluster, "io.0")
    subprocess.run(["s6-svc", "-u", cluster.data / "run/services/io.0"], check=True)
    assert_is_down_for_good(cluster, "io.0")

    said = cluster.tracectl("skip", "io.0", "--data", cluster.data, "--to", str(2**60)).stdout
    assert ": 0 events" in said and "10 of the letter's events were counted as written" in said, said
    cluster.run("restart", "io.0")
    assert cluster.settled_status()["dead_lettered_events"] == 0
    (letter,) = json.loads(cluster.tracectl("deadletter", "list", "--json", "--data", cluster.data).stdout)["letters"]
    assert letter["events"] == 10
    cluster.tracectl("deadletter", "replay", letter["name"], "--server", cluster.grpc, "--data", cluster.data)
    assert cluster.settled_status()["received_events"] == traffic.events + 10
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_a_checkpoint_that_the_log_does_not_reach_ends_its_worker_for_good(cluster, contract):
    traffic = stopped(cluster, contract)
    for path in copies(cluster, "gpu.0"):
        content = path.read_bytes()
        body = content[8:12] + (2**40).to_bytes(8, "little") + content[20:]
        path.write_bytes(content[:4] + crc32c(body).to_bytes(4, "little") + body)
    cluster.up()
    found = wait_until(lambda: worker(cluster, "gpu.0").get("lost"), "gpu.0 is known to be lost")
    assert f"not {2**40}" in found and "tracectl skip gpu.0 --to LSN" in found, found
    # A rolling restart goes on without it.
    done = cluster.run("restart")
    assert "gpu.0 is down for good" in done.stderr, done.stderr
    cluster.tracectl("skip", "gpu.0", "--data", cluster.data, "--to", str(2**60))
    cluster.run("restart", "gpu.0")
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    cluster.run("finalize")
    status = cluster.settled_status()
    assert status["written_events"] == traffic.events and status["dead_lettered_events"] == 0
    assert_holds_exactly(cluster.data, traffic)


def test_a_retired_worker_that_is_lost_gets_no_slots_before_it_begins_anew(cluster, contract):
    traffic = Traffic(contract.messages, processes=range(4001, 4021))
    stub = contract.services.TracerServiceStub(cluster.channel())
    for count in (2, 1):
        cluster.run("scale", f"cpu={count}")
        stub.SendTraceBatch(traffic.batch(rounds=20), timeout=30)
    damage_both(cluster, "cpu.1")
    done = cluster.run("scale", "cpu=2", check=False)
    assert done.returncode == 1 and "cpu.1 is down for good" in done.stderr, done.stderr
    assert "everything is as before" in done.stderr, done.stderr
    assert [found["name"] for found in cluster.status()["workers"] if found["resource"] == "cpu"] == ["cpu.0"]
    cluster.tracectl("skip", "cpu.1", "--data", cluster.data, "--to", str(2**60))
    cluster.run("scale", "cpu=2")
    stub.SendTraceBatch(traffic.batch(rounds=20), timeout=30)
    cluster.run("finalize")
    status = cluster.settled_status()
    assert status["written_events"] == traffic.events and status["dead_lettered_events"] == 0
    assert_holds_exactly(cluster.data, traffic)


def test_a_cluster_with_a_lost_worker_stops(cluster, contract):
    """All but the lost worker's is written; the next start has the rest."""
    stopped(cluster, contract)
    damage_both(cluster, "cpu.0")
    cluster.up()
    done = cluster.run("restart", "cpu.0", check=False)
    assert done.returncode == 1 and "cpu.0 is down for good" in done.stderr, done.stderr
    cluster.environment["DRAIN_TIMEOUT"] = "2"
    done = cluster.run("stop", check=False)
    assert done.returncode == 1 and "cpu.0 is down for good" in done.stderr, done.stderr
    assert not cluster.processes()
