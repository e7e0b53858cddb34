"""Everything that can die dies, again and again, at moments that a seed chooses; nothing is lost and nothing twice.

    .venv/bin/python -m pytest Tests/EndToEnd/test_kills.py --kills 200 --seed 7 -s

Without --kills it is a short run. The seed is printed; the same seed makes the same choices, though not at the same
moments. At the end stand the times from a kill to a cluster that is ready again, and of acknowledgements.
"""
import collections
import csv
import json
import os
import random
import signal
import statistics
import subprocess
import threading
import time

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from check_trace import check
from cluster import RESOURCES, wait_until
from outputs import csv_files, json_files, trace_events
from traffic import Traffic

AGAIN = (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED,
)


class Oracle:
    """What must be in the files: of acknowledged batches each event once, of others at most once."""

    def __init__(self):
        self.acknowledged = {resource: set() for resource in RESOURCES}
        self.unknown = {resource: set() for resource in RESOURCES}
        self.calls = {True: set(), False: set()}  # cookies of complete calls, by acknowledged

    def note(self, traffic, before, is_acknowledged):
        """What `traffic` made since the state `before`."""
        target = self.acknowledged if is_acknowledged else self.unknown
        lengths, calls = before
        for resource, stamps in traffic.sent.items():
            target[resource].update(stamps[lengths[resource]:])
        self.calls[is_acknowledged].update(traffic.completed_calls[calls:])

    @staticmethod
    def state(traffic):
        return {resource: len(stamps) for resource, stamps in traffic.sent.items()}, len(traffic.completed_calls)

    def check(self, data):
        for resource in RESOURCES:
            written = collections.Counter()
            for path in json_files(data, resource):
                written.update(
                    round(event["ts"]) for event in trace_events(path)
                    if event.get("cat") == resource and event["ph"] in ("B", "E", "i")
                )
            self._compare(f"{resource} in JSON", written, self.acknowledged[resource], self.unknown[resource])
            name = "Cookie" if resource == "function" else "Timestamp"
            rows = collections.Counter()
            for path in csv_files(data, resource):
                with open(path, newline="", encoding="utf-8") as file:
                    rows.update(round(float(row[name])) for row in csv.DictReader(file))
            if resource == "function":
                expected, possible = self.calls[True], self.calls[False]
            else:
                expected, possible = (
                    {stamp // 1000 for stamp in stamps[resource]} for stamps in (self.acknowledged, self.unknown)
                )
            self._compare(f"{resource} in CSV", rows, expected, possible)

    @staticmethod
    def _compare(what, found, expected, possible):
        lost = expected - found.keys()
        twice = [key for key, count in found.items() if count > 1]
        strange = found.keys() - expected - possible
        assert not lost, f"{what}: {len(lost)} acknowledged of {len(expected)} are lost, as {min(lost)}"
        assert not twice, f"{what}: {len(twice)} stand there more than once, as {min(twice)}"
        assert not strange, f"{what}: {len(strange)} were never sent, as {min(strange)}"


class Agent:
    """Sends from a thread of its own: retries with client_id and sequence, or gives up at once without."""

    def __init__(self, cluster, contract, number, oracle, lock, is_retrying):
        self.traffic = Traffic(
            contract.messages, clock_us=1_760_000_000_000_000 + number * 10**11,
            processes=(5000 + 10 * number, 5001 + 10 * number),
        )
        self.stub = contract.services.TracerServiceStub(cluster.channel())
        self.name = f"agent-{number}"
        self.oracle, self.lock = oracle, lock
        self.is_retrying = is_retrying
        self.sequence = 0
        self.latencies = []
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.wait(0.02):
                before = Oracle.state(self.traffic)
                identity = {"client_id": self.name, "sequence": self.sequence + 1} if self.is_retrying else {}
                self.sequence += 1
                is_acknowledged = self._deliver(self.traffic.batch(rounds=1, **identity))
                with self.lock:
                    self.oracle.note(self.traffic, before, is_acknowledged)
        except BaseException as error:  # shown by finish()
            self.failure = error

    def _deliver(self, batch):
        deadline = time.monotonic() + 120
        while True:
            began = time.monotonic()
            try:
                assert self.stub.SendTraceBatch(batch, timeout=10).success
                self.latencies.append(time.monotonic() - began)
                return True
            except grpc.RpcError as error:
                if error.code() not in AGAIN or time.monotonic() > deadline:
                    raise
                if not self.is_retrying:
                    return False

    def finish(self):
        self.stopping.set()
        self.thread.join(150)
        if self.failure is not None:
            raise self.failure
        assert not self.thread.is_alive()


class Scraper:
    """Reads /metrics all the time; no counter may ever be seen below what it was."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.seen = {}
        self.falls = []
        self.scrapes = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.wait(0.3):
            try:
                text = self.cluster.get("/metrics")
            except OSError:
                continue  # the aggregator is away
            self.scrapes += 1
            for family in text_string_to_metric_families(text):
                if family.type in ("counter", "histogram"):
                    for sample in family.samples:
                        self._look(sample)

    def _look(self, sample):
        key = (sample.name, tuple(sorted(sample.labels.items())))
        before = self.seen.get(key, 0)
        if sample.value < before * (1 - 1e-12):
            self.falls.append((key, before, sample.value))
        self.seen[key] = sample.value

    def finish(self):
        self.stopping.set()
        self.thread.join(30)
        assert self.scrapes > 0
        assert not self.falls, f"{len(self.falls)} counters went back, as {self.falls[:3]}"


class Executioner:
    """Does to the cluster what the random numbers say."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.kills = collections.Counter()
        self.recoveries = []  # (name, seconds)
        self.function_workers = 2
        self.finalizing = None
        # Each kind of process dies, in the shortest run too.
        self.first = self.random.sample(["router", "aggregator", "function.0"], 3)

    def names(self):
        workers = [f"function.{index}" for index in range(self.function_workers)]
        return ["router", "aggregator", *workers, *(f"{resource}.0" for resource in RESOURCES[1:])]

    def status(self):
        try:
            return json.loads(self.cluster.get("/status"))
        except (OSError, ValueError):
            return None

    def pid_in(self, status, name):
        if name in ("router", "aggregator"):
            return status[name]["pid"]
        return next((worker["pid"] for worker in status["workers"] if worker["name"] == name), None)

    def kill(self, *names):
        victims = {name: self.cluster.supervised_pid(name) for name in names}
        for pid in victims.values():
            if pid is not None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # between two lives
        began = time.monotonic()
        # A large process takes a while to die, and until then its supervisor calls it alive.
        wait_until(
            lambda: all(pid is None or self.cluster.supervised_pid(name) != pid for name, pid in victims.items()),
            f"the death of {', '.join(names)}", 60,
        )
        for name in names:
            self.kills[name.split(".")[0]] += 1

        def recovered():
            status = self.status()
            return status and status["ready"] and all(
                self.pid_in(status, name) not in (None, pid) for name, pid in victims.items()
            )

        # Sometimes the next blow falls before this one is over.
        if self.random.random() < 0.3:
            return
        wait_until(recovered, f"recovery from the death of {', '.join(names)}", 60)
        self.recoveries.append((names[0] if len(names) == 1 else "several", time.monotonic() - began))

    def pause(self, name):
        pid = self.cluster.supervised_pid(name)
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGSTOP)
            # The time without the process is what is tested here.
            time.sleep(self.random.uniform(0.2, 4))
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def wait_ready(self):
        """Ready, and not only by what was last heard of processes that have died since."""

        def ready():
            status = self.status()
            return status and status["ready"] and all(
                self.pid_in(status, name) == (self.cluster.supervised_pid(name) or 0) for name in self.names()
            )

        wait_until(ready, "a cluster that is ready", 60)

    def scale(self):
        self.wait_finalized()
        self.wait_ready()
        self.function_workers = self.random.choice([1, 2, 3])
        self.cluster.run("scale", f"function={self.function_workers}")

    def finalize(self):
        """Goes on beside what happens next; a finalize whose router dies fails, and that is said."""
        self.wait_finalized()
        self.finalizing = subprocess.Popen(
            [self.cluster.programs / "tracectl", "finalize", "--data", self.cluster.data],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def wait_finalized(self):
        if self.finalizing is not None:
            assert self.finalizing.wait(120) in (0, 1)
            self.finalizing = None

    def step(self):
        if self.first:
            return self.kill(self.first.pop())
        # Workers are many, so that each by itself comes less often.
        kinds = (["router"], ["aggregator"], self.names()[2:])
        name = self.random.choice(self.random.choices(kinds, [1, 1, 3])[0])
        match self.random.choices(["kill", "several", "pause", "finalize", "scale"], [10, 1, 2, 2, 1])[0]:
            case "kill":
                self.kill(name)
            case "several":
                self.kill(*self.random.sample(self.names(), 3))
            case "pause":
                self.pause(name)
            case "finalize":
                self.finalize()
            case "scale":
                self.scale()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@pytest.mark.parametrize("cluster", [["--workers", "function=2"]], indirect=True)
def test_nothing_is_lost_whatever_is_killed(cluster, contract, request):
    kills = request.config.getoption("--kills")
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    oracle, lock = Oracle(), threading.Lock()
    scraper = Scraper(cluster)
    agents = [Agent(cluster, contract, number, oracle, lock, number < 3) for number in range(4)]
    executioner = Executioner(cluster, seed)
    try:
        while sum(executioner.kills.values()) < kills:
            executioner.step()
            for agent in agents:
                if agent.failure is not None:
                    raise agent.failure
        executioner.wait_finalized()
        executioner.wait_ready()
    finally:
        for agent in agents:
            agent.stopping.set()
    for agent in agents:
        agent.finish()
    cluster.run("finalize")
    status = cluster.settled_status()
    scraper.finish()

    acknowledged = sum(map(len, oracle.acknowledged.values()))
    unknown = sum(map(len, oracle.unknown.values()))
    assert acknowledged <= status["written_events"] <= acknowledged + unknown
    assert status["dead_lettered_events"] == 0
    oracle.check(cluster.data)
    assert cluster.tracectl("log", "verify", "--data", str(cluster.data)).returncode == 0
    for path in json_files(cluster.data):
        report = check(str(path))
        assert not report["problems"], report

    seconds = [took for _, took in executioner.recoveries]
    latencies = [latency for agent in agents for latency in agent.latencies]
    print(
        f"kills {dict(executioner.kills)}; {acknowledged} events acknowledged, {unknown} unknown, "
        f"{status['deduplicated_events']} deduplicated; {scraper.scrapes} scrapes\n"
        f"ready again after {statistics.median(seconds):.2f} s at the median, "
        f"{max(seconds):.2f} s at worst ({max(executioner.recoveries, key=lambda one: one[1])[0]})\n"
        f"acknowledged after {1000 * percentile(latencies, 0.5):.1f} ms at the median, "
        f"p99 {1000 * percentile(latencies, 0.99):.0f} ms, worst {1000 * max(latencies):.0f} ms"
    )


def test_a_worker_that_stood_still_does_not_meet_a_second_one(cluster, contract):
    """Who is stopped still owns its name; a second process of it is refused and writes nothing."""
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    pid = cluster.supervised_pid("function.0")
    os.kill(pid, signal.SIGSTOP)
    try:
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        second = subprocess.run(
            [cluster.programs / "trace-worker", "--data", cluster.data, "--resource", "function", "--index", "0"],
            capture_output=True, text=True, timeout=30,
        )
        assert second.returncode != 0
        assert "Another process is function.0" in second.stdout + second.stderr
    finally:
        os.kill(pid, signal.SIGCONT)
    cluster.run("finalize")
    assert cluster.supervised_pid("function.0") == pid
    oracle = Oracle()
    oracle.note(traffic, ({resource: 0 for resource in RESOURCES}, 0), True)
    oracle.check(cluster.data)


def test_a_worker_replaced_while_it_stood_still_writes_nothing_more(cluster, contract):
    """Its lock file is gone, so a second one comes up and takes over; resumed, the first is told to end."""
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    pid = cluster.supervised_pid("cpu.0")
    os.kill(pid, signal.SIGSTOP)
    second = None
    try:
        # These reach the stopped one before the second is there: more than it keeps in memory.
        for _ in range(8):
            stub.SendTraceBatch(traffic.batch(rounds=5000, resources=("cpu",)), timeout=30)
        (cluster.data / "run/cpu.0.lock").unlink()
        second = subprocess.Popen(
            [cluster.programs / "trace-worker", "--data", cluster.data, "--resource", "cpu", "--index", "0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: cluster.pid("cpu.0") == second.pid, "the second cpu.0 at work")
        stub.SendTraceBatch(traffic.batch(), timeout=30)
        cluster.run("finalize")
    finally:
        os.kill(pid, signal.SIGCONT)
        if second is not None:
            second.kill()
            second.wait()
    wait_until(lambda: cluster.supervised_pid("cpu.0") not in (None, pid), "the first one's end")
    cluster.settled_status()
    oracle = Oracle()
    oracle.note(traffic, ({resource: 0 for resource in RESOURCES}, 0), True)
    cluster.run("finalize")
    oracle.check(cluster.data)
