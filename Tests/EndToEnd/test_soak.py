"""A steady load for a long time, while everything planned happens to the cluster; then what became of it.

    .venv/bin/python -m pytest Tests/EndToEnd/test_soak.py --soak-seconds 300 -s

Every event stands in the files once, the accounting is exact, memory and disk stay within bounds. Without
--soak-seconds each thing happens once. The report has the figures.
"""
import itertools
import json
import os
import re
import shutil
import signal
import statistics
import threading
import time

import pytest

from cluster import Cluster, wait_until
from soak import Gauges, Oracle, SoakAgent

PROGRAMS = ("trace-router", "trace-worker", "trace-aggregator", "trace-console", "tracectl")
LOG_BUDGET_BYTES = 1 << 30
# What the budgets in Limits.swift come to, with room: a router's calls and inbox, a worker's rows and state.
RESIDENT_BYTES_MAX = 1 << 30
# The log, and beside it segments, checkpoints and files that wait for their reader.
DATA_BYTES_MAX = LOG_BUDGET_BYTES + (1 << 30)


class Watcher:
    """Reads the files and takes the gauges, once a second, on a thread of its own."""

    def __init__(self, cluster, oracle):
        self.cluster, self.oracle = cluster, oracle
        self.gauges = Gauges(cluster)
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.wait(1):
                self.gauges.sample()
                self.oracle.consume(self.cluster.data)
        except BaseException as error:  # shown by finish()
            self.failure = error

    def finish(self):
        self.stopping.set()
        self.thread.join(120)
        if self.failure is not None:
            raise self.failure
        assert not self.thread.is_alive()


class Operator:
    """Does to the cluster what operators do, one thing after the other."""

    def __init__(self, cluster, installation):
        self.cluster = cluster
        self.installation = installation
        self.seconds = {}  # what: [seconds]
        self.detections = []
        self.victims = itertools.cycle(["router", "function.0", "aggregator", "cpu.0", "network.0", "gpu.0"])

    def timed(self, what, *command):
        began = time.monotonic()
        self.cluster.run(*command, seconds=300)
        self.seconds.setdefault(what, []).append(time.monotonic() - began)

    def scale(self, number):
        self.timed("scale", "scale", f"function={number},network={number}")

    def finalize(self):
        self.timed("finalize", "finalize")

    def restart(self):
        self.timed("restart of one", "restart", next(self.victims))

    def upgrade(self):
        self.installation.renew()
        self.timed("upgrade", "restart")

    def hang(self):
        """How long it takes until a worker that stands still is seen not to be well."""

        def is_up():
            workers = json.loads(self.cluster.get("/status"))["workers"]
            return next(worker["up"] for worker in workers if worker["name"] == "io.0")

        wait_until(is_up, "io.0 up")
        pid = self.cluster.supervised_pid("io.0")
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: not is_up(), "the worker that stands still seen")
            self.detections.append(time.monotonic() - began)
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(is_up, "io.0 up again")

    def steps(self):
        """All of it once, then again and again; but for the upgrade, which is one."""
        cycle = [
            lambda: self.scale(3), self.finalize, self.restart, lambda: self.scale(2), self.hang, self.restart,
            lambda: self.scale(1), self.finalize, self.restart,
        ]
        yield from cycle
        yield self.upgrade
        yield from itertools.cycle(cycle)


class Installation:
    """Programs of a place of their own, put there as a new version is."""

    def __init__(self, programs, directory):
        self.programs, self.directory = programs, directory
        directory.mkdir()
        self.renew()

    def renew(self):
        for name in PROGRAMS:
            shutil.copy2(self.programs / name, self.directory / f".{name}")
            os.rename(self.directory / f".{name}", self.directory / name)


@pytest.fixture
def installation(programs, tmp_path):
    return Installation(programs, tmp_path / "bin")


@pytest.fixture
def cluster(installation, tmp_path):
    cluster = Cluster(tmp_path / "data", installation.directory)
    try:
        cluster.up("--log-budget", str(LOG_BUDGET_BYTES))
        yield cluster
    finally:
        cluster.stop(check=False)
        assert not cluster.processes()


def test_nothing_is_lost_and_nothing_grows(cluster, installation, contract, request):
    seconds = request.config.getoption("--soak-seconds")
    agents = [SoakAgent(cluster, contract, number, is_retrying=number < 4) for number in range(6)]
    oracle = Oracle([agent.traffic for agent in agents])
    watcher = Watcher(cluster, oracle)
    operator = Operator(cluster, installation)
    began = time.monotonic()
    try:
        for step in operator.steps():
            step()
            failed = next((one.failure for one in (*agents, watcher) if one.failure is not None), None)
            if failed is not None:
                raise failed
            if time.monotonic() - began >= seconds and "upgrade" in operator.seconds:
                break
    finally:
        for each in (*agents, watcher):
            each.stopping.set()
    for each in (*agents, watcher):
        each.finish()
    lasted = time.monotonic() - began

    cluster.run("finalize")
    status = cluster.settled_status()
    metrics = cluster.metrics()
    stop_began = time.monotonic()
    cluster.stop()
    stop_seconds = time.monotonic() - stop_began
    oracle.consume(cluster.data)
    written, acknowledged = oracle.check()
    report(operator, watcher.gauges, agents, metrics, status, lasted, stop_seconds, pauses(cluster))

    assert status["written_events"] == written
    assert acknowledged <= written
    assert status["dead_lettered_events"] == status["rejected_events"] == 0
    for name in watcher.gauges.samples:
        bound = DATA_BYTES_MAX if name == "data directory" else RESIDENT_BYTES_MAX
        assert watcher.gauges.most(name) < bound, name


def pauses(cluster):
    """[(slots, median in ms, worst in ms)] of every move of slots that the routers tell of in their logs."""
    text = "".join(path.read_text(errors="replace") for path in sorted(cluster.data.glob("logs/router/*")))
    found = []
    for line in text.splitlines():
        if "Slots moved" in line:
            fields = dict(re.findall(r"(\w+)=(\d+)", line))
            found.append((int(fields["slots"]), int(fields["median_ms"]), int(fields["worst_ms"])))
    return found


def report(operator, gauges, agents, metrics, status, lasted, stop_seconds, moves):
    latencies = sorted(latency for agent in agents for latency in agent.latencies)
    merged = sum(metrics["trace_merge_bytes_total"].values())
    merging = sum(metrics["trace_merge_seconds_sum"].values())
    medians = [median for slots, median, _ in moves for _ in range(slots)]
    print(
        f"\n{lasted:.0f} s: {status['written_events']} events written, {status['deduplicated_events']} deduplicated, "
        f"{sum(agent.given_up for agent in agents)} batches given up by agents without sequences\n"
        f"acknowledged after {1000 * statistics.median(latencies):.1f} ms at the median, "
        f"p99 {1000 * latencies[int(len(latencies) * 0.99)]:.0f} ms, worst {1000 * latencies[-1]:.0f} ms, retries included\n"
        f"pause of a slot that moves: median {statistics.median(medians) if medians else 0:.0f} ms, "
        f"worst {max((worst for *_, worst in moves), default=0)} ms ({len(medians)} slots in {len(moves)} moves)\n"
        f"merge: {merged / 1e6:.1f} MB at {merged / 1e6 / merging:.1f} MB/s\n"
        f"a worker that hangs is seen after {statistics.median(operator.detections):.2f} s at the median, "
        f"{max(operator.detections):.2f} s at worst (expected: 3 s at most)\n"
        f"stop: {stop_seconds:.2f} s"
    )
    for what, seconds in operator.seconds.items():
        print(f"{what}: {len(seconds)} times, median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s")
    print(gauges.table())
