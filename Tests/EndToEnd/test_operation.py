"""The cluster as its operator meets it: starting, scaling, stopping, and processes that die."""
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import grpc
import pytest

from cluster import ROOT, Cluster, free_port, wait_until
from outputs import assert_holds_exactly, records
from traffic import Traffic


class Sender:
    """An agent that retries with the same sequence until a batch is acknowledged, on a thread of its own."""

    def __init__(self, cluster, contract, name, clock_us):
        self.traffic = Traffic(contract.messages, clock_us=clock_us)
        self.stub = contract.services.TracerServiceStub(cluster.channel())
        self.name = name
        self.acknowledged = 0
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        sequence = 0
        try:
            while not self.stopping.is_set():
                sequence += 1
                self._deliver(self.traffic.batch(rounds=3, client_id=self.name, sequence=sequence))
                self.acknowledged = sequence
        except BaseException as error:  # shown by finish()
            self.failure = error

    def _deliver(self, batch):
        deadline = time.monotonic() + 60
        while True:
            try:
                assert self.stub.SendTraceBatch(batch, timeout=10).success
                return
            except grpc.RpcError as error:
                again = (
                    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                )
                if error.code() not in again or time.monotonic() > deadline:
                    raise

    def advance(self, batches=10):
        """Returns when so many more batches are acknowledged."""
        target = self.acknowledged + batches
        wait_until(lambda: self.failure or self.acknowledged >= target, f"{batches} more acknowledged batches", 60)

    def finish(self):
        self.stopping.set()
        self.thread.join(90)
        if self.failure is not None:
            raise self.failure
        assert not self.thread.is_alive()
        return self.traffic


@pytest.fixture
def sender(cluster, contract):
    sender = Sender(cluster, contract, "sender", clock_us=1_760_000_000_000_000)
    yield sender
    sender.stopping.set()


# Starting and stopping


def test_a_second_up_says_so(cluster):
    pid = cluster.pid("router")
    again = cluster.up()
    assert "already" in again.stdout
    assert cluster.pid("router") == pid


def test_a_taken_port_is_named_and_nothing_stays(cluster, programs, tmp_path):
    other = Cluster(tmp_path / "other", programs)
    other.grpc = cluster.grpc
    done = other.run("up", "--grpc", other.grpc, "--metrics", other.http, check=False)
    assert done.returncode == 1
    assert cluster.grpc.rpartition(":")[2] in done.stderr
    assert not other.processes()


def test_stop_writes_everything_and_leaves_no_process(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    for _ in range(5):
        stub.SendTraceBatch(traffic.batch(), timeout=30)
    assert cluster.processes()
    cluster.stop()
    assert not cluster.processes()
    assert_holds_exactly(cluster.data, traffic)
    assert "No cluster runs" in cluster.stop().stdout


def test_stop_of_what_never_ran(programs, tmp_path):
    cluster = Cluster(tmp_path / "never", programs)
    assert "No cluster runs" in cluster.stop().stdout
    assert not cluster.data.exists()


def test_a_later_start_goes_on_with_the_settings_of_the_first(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(client_id="twice", sequence=1), timeout=30)
    repeated = traffic.batch(client_id="twice", sequence=2)
    stub.SendTraceBatch(repeated, timeout=30)
    cluster.run("scale", "cpu=2")
    cluster.stop()

    cluster.run("up")
    status = cluster.status()
    assert [worker["name"] for worker in status["workers"]].count("cpu.1") == 1
    stub = contract.services.TracerServiceStub(cluster.channel())
    assert stub.SendTraceBatch(repeated, timeout=30).success  # known across the restart
    stub.SendTraceBatch(traffic.batch(client_id="twice", sequence=3), timeout=30)
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_a_later_start_with_other_workers_scales(cluster, contract):
    traffic = Traffic(contract.messages)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    for number in (3, 1):
        cluster.stop()
        cluster.up("--workers", f"function={number}")
        names = [worker["name"] for worker in cluster.status()["workers"] if worker["resource"] == "function"]
        assert names == [f"function.{index}" for index in range(number)]
        contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_nothing_holds_the_callers_directory_or_streams(cluster):
    for pid in cluster.processes():
        try:
            streams = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
            directory = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        assert directory.startswith(str(cluster.data)), (pid, directory)
        for stream in streams:
            assert stream == "/dev/null" or stream.startswith(("pipe:", str(cluster.data))), (pid, stream)


def test_only_workers_ask_for_large_pages(cluster):
    status = cluster.status()

    def tunables(pid):
        lines = pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0")
        return [line for line in lines if line.startswith("GLIBC_TUNABLES=")]

    for worker in status["workers"]:
        assert tunables(worker["pid"]) == ["GLIBC_TUNABLES=glibc.malloc.hugetlb=1"]
    # They hold large pieces of memory for a moment each, which would stay whole.
    for process in (status["router"], status["aggregator"]):
        assert tunables(process["pid"]) == []


def test_foreground_stops_in_order(programs, contract, tmp_path):
    cluster = Cluster(tmp_path / "data", programs)
    front = subprocess.Popen(
        [ROOT / "scripts/cluster", "up", "--foreground", "--data", cluster.data, "--grpc", cluster.grpc,
         "--metrics", cluster.http],
        env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )
    try:
        for line in front.stdout:
            if "stop" in line:
                break
        traffic = Traffic(contract.messages)
        contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
        front.send_signal(signal.SIGTERM)
        front.stdout.read()
        assert front.wait(120) == 0
        assert not cluster.processes()
        assert_holds_exactly(cluster.data, traffic)
    finally:
        if front.poll() is None:
            front.kill()
        cluster.stop(check=False)


def test_a_process_that_does_not_come_up_is_named(cluster, programs):
    pid = cluster.supervised_pid("gpu.0")
    argv = cluster.data / "run/services/gpu.0/argv"
    argv.write_text("/bin/false\n")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "gpu.0 is not up" in cluster.run("status").stdout, "the complaint about gpu.0")
    assert "exit code 1" in cluster.run("status").stdout
    # Each pause twice the one before.
    wait_until(lambda: "starting again in 2 s" in cluster.run("logs", "gpu.0").stdout, "the second pause")
    argv.write_text(f"{programs / 'trace-worker'}\n--data\n{cluster.data}\n--resource\ngpu\n--index\n0\n")
    cluster.run("restart", "gpu.0")
    assert "gpu.0 is not up" not in cluster.run("status").stdout


def test_status_for_people_and_logs(cluster):
    table = cluster.run("status").stdout.lower()
    for name in ("router", "aggregator", "function.0", "gpu.0"):
        assert name in table
    assert "router: " in cluster.run("logs").stdout
    assert cluster.run("logs", "no-such", check=False).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"], ["up", "--workers", "function=0"], ["up", "--grpc", "nowhere"], ["up", "--log-budget", "1"],
        ["scale"], ["stop", "--json"],
        ["up", "--csv-formula-guard=maybe"], ["up", "--retain-age", "0d"], ["up", "--retain-bytes", "1.5G"], ["up", "--compress", "rar"],
        ["reload", "now"], ["up", "--frobnicate"], ["up", "now"], ["up", "--workers"], ["up", "--grpc", ""],
        ["up", "--config", "/nowhere.json"], ["stop", "--grpc", "127.0.0.1:1"],
    ],
)
def test_nonsense_is_refused(tmp_path, programs, arguments):
    cluster = Cluster(tmp_path / "data", programs)
    done = cluster.run(*arguments, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert not cluster.processes()


# Scaling


def test_scaling_under_load_loses_and_repeats_nothing(cluster, sender):
    sender.advance()
    cluster.run("scale", "function=3,network=2")
    names = [worker["name"] for worker in cluster.status()["workers"]]
    assert {"function.2", "network.1"} <= set(names)
    sender.advance()
    cluster.run("scale", "function=1,network=1")
    assert "function.1" not in [worker["name"] for worker in cluster.status()["workers"]]
    assert not any("--index 1" in command for command in cluster.processes().values())
    sender.advance()
    traffic = sender.finish()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


# Dying


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["function.0", "aggregator", "router"])
def test_a_killed_process_comes_back_and_nothing_is_lost(cluster, sender, name):
    for _ in range(3):
        sender.advance()
        victim = cluster.supervised_pid(name)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: cluster.supervised_pid(name) not in (None, victim), f"{name} started again")
    sender.advance()
    traffic = sender.finish()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_everything_killed_at_once(cluster, sender):
    sender.advance(20)
    for pid in cluster.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_until(lambda: not cluster.processes(), "every process gone")
    cluster.up()
    sender.advance()
    traffic = sender.finish()
    cluster.stop()
    assert_holds_exactly(cluster.data, traffic)


def test_counters_do_not_go_back(cluster, sender):
    sender.advance()

    def total():
        return sum(cluster.metrics().get("trace_events_total", {}).values())

    wait_until(lambda: total() > 0, "events on /metrics")
    for name in ("cpu.0", "function.0", "gpu.0"):
        seen = total()
        victim = cluster.supervised_pid(name)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: cluster.supervised_pid(name) not in (None, victim), f"{name} started again")
        assert total() >= seen
        sender.advance()
        assert total() >= seen
    traffic = sender.finish()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_one_process_keeps_its_order(cluster, sender):
    sender.advance()
    cluster.run("scale", "function=2")
    sender.advance()
    sender.finish()
    cluster.run("finalize")
    last = {}
    for event in records(cluster.data, "function"):
        thread = (event["pid"], event["tid"])
        assert event["ts"] > last.get(thread, 0)
        last[thread] = event["ts"]


# As a user does it


def test_up_builds_and_runs_the_release(contract, tmp_path):
    if os.environ.get("TRACE_TEST_RELEASE") == "no":
        pytest.skip("TRACE_TEST_RELEASE=no")
    cluster = Cluster(tmp_path / "data", programs=None)
    try:
        cluster.up(seconds=3000)
        assert re.search(r" \([0-9a-f]{12}", cluster.tracectl("--version").stdout) or not (ROOT / ".git").exists()
        traffic = Traffic(contract.messages)
        contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
        cluster.run("finalize")
        assert_holds_exactly(cluster.data, traffic)
    finally:
        cluster.stop(check=False)


def test_settings_by_environment(programs, tmp_path):
    cluster = Cluster(tmp_path / "data", programs)
    cluster.environment |= {
        "SERVICE_PORT": str(free_port()), "METRICS_PORT": str(free_port()), "TZ": "Asia/Kolkata",
    }
    try:
        cluster.run("up")
        cluster.grpc = f"127.0.0.1:{cluster.environment['SERVICE_PORT']}"
        cluster.http = f"127.0.0.1:{cluster.environment['METRICS_PORT']}"
        assert json.loads(cluster.get("/status"))["ready"]
        grpc.channel_ready_future(cluster.channel()).result(timeout=30)
        assert "Asia/Kolkata" in " ".join(cluster.processes().values())
    finally:
        cluster.stop(check=False)
