"""Every kind of file below a data directory is damaged, and nothing is lost without a word.

    .venv/bin/python -m pytest Tests/EndToEnd/test_damage.py --damages 2000 --seed 7 --jobs 4 -s

Two clusters are killed as a whole, one with windows in every state, one amid a scale; each trial copies the directory of
one, damages one file, starts the cluster again and holds what comes out against what was acknowledged. The kinds of files
are those found in the directories (Sources/FORMATS.md describes each), so a new one cannot be left out. Allowed outcomes:

- healed: everything that was acknowledged is in the final files, each event once, and no counter went back;
- said: what is missing is counted (`lost_rows`, dead letters or errors) and named in a log; all else is as above;
- refused: a process does not start, or `up` fails, and says what to do. A loss that is the operator's to accept is accepted
  then, and what is left is held against the above.
"""
import collections
import concurrent.futures
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from cluster import RESOURCES, ROOT, Cluster, wait_until
from outputs import csv_files, json_files
from test_deadletters import POISON, poisoned
from test_kills import Oracle
from traffic import Traffic

# Nothing reads these again: what stands there is for people and their programs, or of one run only.
UNREAD = re.compile(
    r"output/(csv|json|txt|anomalies|summary)/|logs/|run/services/|run/.*\.(lock|pid|sock)$|run/(aggregator|console)\.addr$"
    r"|damaged/|deadletters/.*\.replayed$"
)


def kind(path):
    """The kind of file at a path below the data directory: the path without what differs within a kind."""
    name = re.sub(r"\b(function|cpu|memory|network|io|gpu)\b(?=[._])", "R", str(path))
    name = re.sub(r"(function|cpu|memory|network|io|gpu)_", "R_", name)
    name = re.sub(r"(?<=R_trace_w)\d+_r\d+(_[^.]*)?", "N", name)
    return re.sub(r"[0-9a-f]{16}|\d+", "0", name)


def files(data):
    """All files by kind, the kinds and files in a fixed order."""
    found = collections.defaultdict(list)
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            found[kind(path.relative_to(data))].append(path.relative_to(data))
    return dict(sorted(found.items()))


def written_bytes(path):
    """What of a file was written: log files are zeros behind their end."""
    with open(path, "rb") as file:
        content = file.read()
    return len(content.rstrip(b"\0")) or len(content)


def kill_all(cluster):
    """As a power cut does it to processes: the supervisors first, so that nothing starts again."""
    while processes := cluster.processes():
        for pid in sorted(processes, key=lambda pid: "s6-svscan" not in processes[pid]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


class Copy(Cluster):
    """A cluster that is asked over HTTP: scripts would be the greater part of what a trial costs."""

    def status(self):
        return json.loads(self.get("/status"))


class Template:
    """A cluster's directory after everything was killed at once, and what it has acknowledged."""

    OPTIONS = ()

    def __init__(self, directory, programs, contract):
        self.programs = programs
        self.contract = contract
        self.data = directory / type(self).__name__
        self.oracle = Oracle()
        self.traffic = Traffic(contract.messages)
        self.sequence = 0
        self.letters = 0  # events in dead letters
        cluster = Cluster(self.data, programs)
        # Workers end at a record with this text, which becomes a dead letter; those of the trials do not.
        cluster.environment["TRACE_FAULT_CRASH_ON"] = POISON
        self.lay_out()
        cluster.up("--workers", "function=2")
        try:
            self.stub = contract.services.TracerServiceStub(cluster.channel())
            self.fill(cluster)
        finally:
            for channel in cluster.channels:
                channel.close()
            kill_all(cluster)

    def lay_out(self):
        """What is there before the first start."""

    def fill(self, cluster):
        """Brings the cluster to where it is killed."""

    @property
    def sent(self):
        """Events that were acknowledged and set aside by nobody."""
        return sum(map(len, self.oracle.acknowledged.values()))

    def send(self, batch=None, rounds=12):
        before = Oracle.state(self.traffic)
        for _ in range(1 if batch else 5):
            self.sequence += 1
            one = batch or self.traffic.batch(rounds=rounds, client_id="template", sequence=self.sequence)
            assert self.stub.SendTraceBatch(one, timeout=30).success
        self.oracle.note(self.traffic, before, True)

    def checkpoints(self):
        """When each was written."""
        return {path: path.stat().st_mtime_ns for path in self.data.glob("checkpoints/*.checkpoint")}

    def leave_checkpoints(self):
        """The open window has rows in segments too, where a worker checkpoints it soon."""
        then = self.checkpoints()
        try:
            wait_until(lambda: any(self.checkpoints()[path] > then[path] for path in then), "a checkpoint in the open window", 5)
        except AssertionError:
            pass

    def copy(self, directory):
        subprocess.run(["cp", "-a", "--sparse=always", self.data, directory], check=True)
        # What is logged from now on is the copy's.
        subprocess.run(["rm", "-rf", directory / "logs"], check=True)
        return Copy(directory, self.programs)


class Windows(Template):
    """Windows that are published, amid their merge, closed and open; dead letters; the operator's files."""

    def lay_out(self):
        self.data.mkdir()
        self.data.joinpath("cluster.json").write_text(
            json.dumps({"state_limit": "256M", "series_limit": 5000, "compress": "off"}, indent=2)
        )
        self.data.joinpath("rules.json").write_text(
            json.dumps({"rules": {"cpu": {"high_utilization": {"raise_percent": 95}}}}, indent=2)
        )
        for path in self.data.glob("*.json"):
            path.chmod(0o640)

    def fill(self, cluster):
        for _ in range(2):
            self.send()
            cluster.run("finalize")
        before = Oracle.state(self.traffic)
        assert self.stub.SendTraceBatch(poisoned(self.contract.messages, self.traffic), timeout=30).success
        self.oracle.note(self.traffic, before, True)
        self.letters = wait_until(lambda: cluster.status()["dead_lettered_events"], "a dead letter", 60)
        self.send()
        cluster.settled_status()
        self.leave_windows_unmerged(cluster)
        self.send()
        self.leave_checkpoints()

    def leave_windows_unmerged(self, cluster):
        """Segments of a window are closed and in checkpoints, and the aggregator stands still amid the merge of one of them."""
        aggregator = cluster.supervised_pid("aggregator")
        merges = self.data / "output/.merge"
        for _ in range(50):
            before = self.checkpoints()
            finalizing = subprocess.Popen(
                [self.programs / "tracectl", "finalize", "--data", self.data],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            while not (held := self.manifests(merges)) and finalizing.poll() is None:
                pass  # a manifest is there for some milliseconds
            os.kill(aggregator, signal.SIGSTOP)
            if held and self.manifests(merges):
                wait_until(
                    lambda: all(path.stat().st_mtime_ns > then for path, then in before.items()),
                    "checkpoints behind the barrier",
                )
                finalizing.kill()
                finalizing.wait()
                return
            os.kill(aggregator, signal.SIGCONT)
            finalizing.wait()
            self.send()
        raise AssertionError("no merge was seen")

    @staticmethod
    def manifests(merges):
        """Of a merge that goes on, both copies."""
        names = os.listdir(merges)
        return [name for name in names if f"{name}.mirror" in names]


class Scaling(Template):
    """Amid a scale: the slots of function.1 are on their way to function.0."""

    def fill(self, cluster):
        self.send()
        cluster.settled_status()
        os.kill(cluster.supervised_pid("function.0"), signal.SIGSTOP)
        scaling = subprocess.Popen(
            [ROOT / "scripts/cluster", "scale", "function=1", "--data", self.data], env=cluster.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        checkpoint = self.data / "checkpoints/function.1.checkpoint"
        then = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        wait_until(lambda: any(self.data.glob("checkpoints/handover/*.mirror")), "a hand-over")
        wait_until(lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns > then, "a checkpoint behind it")
        self.send()
        os.killpg(scaling.pid, signal.SIGKILL)
        scaling.wait()


@pytest.fixture(scope="module")
def template(tmp_path_factory, programs, contract):
    return Windows(tmp_path_factory.mktemp("damage"), programs, contract)


@pytest.fixture(scope="module")
def templates(tmp_path_factory, programs, contract, template):
    return [template, Scaling(tmp_path_factory.mktemp("scaling"), programs, contract)]


class Damage:
    """What is done to a file: drawn before the trials, so that these may run in any order."""

    def __init__(self, template, path, chance):
        self.template, self.path = template, path
        self.way = chance.choice(("flip", "cut"))
        self.size = written_bytes(template.data / path)
        self.place = chance.randrange(self.size)
        self.mask = 1 << chance.randrange(8)

    def __str__(self):
        if self.way == "flip":
            return f"bit {self.mask:#04x} flipped in byte {self.place} of {self.size} of {self.path}"
        return f"{self.path} cut from {self.size} to {self.place} bytes"

    def apply(self, data):
        if self.way == "cut":
            os.truncate(data / self.path, self.place)
            return
        with open(data / self.path, "r+b") as file:
            file.seek(self.place)
            byte = file.read(1)[0]
            file.seek(self.place)
            file.write(bytes([byte ^ self.mask]))


class Trial:
    """One file damaged, and what came of it."""

    def __init__(self, damage, directory):
        self.template = damage.template
        self.path = damage.path
        self.what = str(damage)
        self.cluster = self.template.copy(directory)
        damage.apply(self.cluster.data)

    def run(self):
        """The outcome: healed, said or refused. Fails where it is another."""
        cluster = self.cluster
        try:
            done = self.up()
            if done.returncode != 0:
                words = done.stdout + done.stderr
                if "tracectl log accept-loss" not in words:
                    return self.refused(words)
                cluster.tracectl("log", "accept-loss", "--data", str(cluster.data))
                done = self.up()
                assert done.returncode == 0, f"{self.what}: an accepted loss: {done.stdout}{done.stderr}"
                outcome = self.after_start()
                assert outcome in ("healed", "said"), f"{self.what}: an accepted loss: {outcome}"
                return f"refused, then {outcome}"
            return self.after_start()
        except BaseException:
            print(self.what, cluster.logs(), sep="\n")
            raise
        finally:
            kill_all(cluster)

    def up(self):
        return self.cluster.run("up", "--grpc", self.cluster.grpc, "--metrics", self.cluster.http, check=False)

    def after_start(self):
        cluster = self.cluster
        lost = [worker for worker in cluster.status()["workers"] if worker.get("lost")]
        if lost:
            return self.refused(" ".join(worker["lost"] for worker in lost))
        done = cluster.tracectl("finalize", "--data", cluster.data, "--timeout", "40", check=False)
        if done.returncode != 0:
            return self.refused(done.stdout + done.stderr)
        outcome = self.compared(cluster.settled_status())
        return self.replayed(outcome) if self.path.parts[0] == "deadletters" else outcome

    def replayed(self, outcome):
        """What sending a dead letter again leads to."""
        cluster = self.cluster
        name = self.path.stem
        # One that is damaged hides no others.
        cluster.tracectl("deadletter", "list", "--data", cluster.data)
        done = cluster.tracectl(
            "deadletter", "replay", name, "--server", cluster.grpc, "--data", cluster.data, check=False
        )
        if done.returncode != 0:
            assert name in done.stderr, f"{self.what}: refused without a name: {done.stderr}"
            return "refused"
        written = cluster.settled_status()["written_events"]
        assert written == self.template.sent + self.template.letters, f"{self.what}: {written} written after a replay"
        return outcome

    def refused(self, words):
        text = words + self.log_text()
        remedies = ("remedy", "Restore", "restore", "backup", "tracectl skip", "Remove it", "another data directory", "Delete the line")
        # Of a configuration the remedy is the place that is wrong.
        is_named = re.search(rf"{re.escape(str(self.path))}:\d+: ", words)
        assert is_named or any(word in text for word in remedies), f"{self.what}: refused without a remedy: {words}"
        return "refused"

    def compared(self, status):
        oracle = self.template.oracle
        missing = False
        try:
            oracle.check(self.cluster.data)
        except AssertionError as error:
            assert "are lost" in str(error), f"{self.what}: {error}"
            missing = True
        if not missing:
            sent = self.template.sent
            if status["written_events"] != sent:
                assert self.is_said(), f"{self.what}: {sent} events sent, {status['written_events']} counted"
                return "said"
            return "healed"
        assert self.is_said(), f"{self.what}: {status['lost_rows']} rows lost, and nobody says so"
        counted = status["lost_rows"] or status["dead_lettered_events"] > self.template.letters
        assert counted, f"{self.what}: not counted: {status}"
        for path in json_files(self.cluster.data):
            json.loads(path.read_text(encoding="utf-8"))
        for path in csv_files(self.cluster.data):
            path.read_text(encoding="utf-8")
        return "said"

    def is_said(self):
        """Whether a log names the file, or, of the ingest log and metrics, says that they are damaged."""
        text = self.log_text()
        return self.path.name in text or re.search(r"damage|set aside|gone back|counting anew", text) is not None

    def log_text(self):
        """What was logged since the copy was made."""
        return "".join(
            path.read_text(encoding="utf-8", errors="replace") for path in sorted(self.cluster.data.glob("logs/*/*"))
        )


def test_no_damage_goes_unnoticed(templates, tmp_path, request):
    # The long form looks further, with a seed of its own.
    seed = request.config.getoption("--seed") or 1
    count = request.config.getoption("--damages")
    print(f"seed {seed}")
    chance = random.Random(seed)
    kinds = collections.defaultdict(list)
    for template in templates:
        for name, paths in files(template.data).items():
            if not UNREAD.match(name):
                kinds[name] += [(template, path) for path in paths]
    print("\n".join(f"{len(paths):4} {name}, as {paths[0][1]}" for name, paths in kinds.items()))
    names = [chance.choice(list(kinds)) for _ in range(count)] or list(kinds)
    plan = [(name, Damage(*chance.choice(kinds[name]), chance)) for name in names]
    outcomes = collections.defaultdict(collections.Counter)
    failures = []

    def outcome(number, damage):
        directory = tmp_path / f"trial-{number}"
        try:
            return Trial(damage, directory).run()
        finally:
            subprocess.run(["rm", "-rf", directory], check=True)

    with concurrent.futures.ThreadPoolExecutor(request.config.getoption("--jobs")) as jobs:
        trials = {jobs.submit(outcome, number, damage): (name, damage) for number, (name, damage) in enumerate(plan)}
        for number, trial in enumerate(concurrent.futures.as_completed(trials), 1):
            name, damage = trials[trial]
            try:
                outcomes[name][trial.result()] += 1
                print(f"{number} {damage}: {trial.result()}", flush=True)
            except Exception as error:
                outcomes[name]["wrong"] += 1
                failures.append(f"{damage}: {error}")
                print(f"wrong, {len(failures)} of {number}: {failures[-1]}", flush=True)
    for name, counts in sorted(outcomes.items()):
        print(f"{name}: {dict(counts)}")
    assert not failures, f"{len(failures)} of {len(plan)}:\n" + "\n".join(failures)


def test_every_kind_of_file_is_described(templates):
    """Sources/FORMATS.md has a line for each kind that lies in a data directory."""
    text = (ROOT / "Sources/FORMATS.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    patterns = [pattern for cell in cells for pattern in re.findall(r"`([^`]+)`", cell)]
    expressions = [re.sub(r"[A-Z]+", "[^/]*", re.escape(pattern)).replace(r"\*\*", ".*") for pattern in patterns]
    for template in templates:
        for name, paths in files(template.data).items():
            for path in paths:
                # What a kill left beside a file that was being replaced.
                final = str(path).removesuffix(".tmp")
                assert any(re.fullmatch(one, final) for one in expressions), f"FORMATS.md lacks {path} ({name})"


def test_nothing_is_for_the_world_to_read(template):
    for path in [template.data / "output", *template.data.glob("*/"), *template.data.rglob("*")]:
        if path.is_symlink() or path == template.data / "run" or "run/" in str(path.relative_to(template.data)):
            continue
        mode = path.stat().st_mode & 0o777
        assert mode & 0o027 == 0, f"{path} has mode {mode:o}"


def test_windows_of_which_all_segments_are_gone_hold_nothing_up(template, tmp_path):
    """`rm segments/*/*`, and nothing to make them again from: what is lost is counted, and the next windows are published."""
    cluster = template.copy(tmp_path / "data")
    for path in [*cluster.data.glob("segments/*/*"), *cluster.data.glob("checkpoints/*.kept")]:
        path.unlink()
    try:
        cluster.up()
        cluster.run("finalize", "--timeout", "40")
        status = cluster.settled_status()
        assert status["lost_rows"] > 0
        errors = cluster.metrics()["trace_errors_total"]
        assert errors[(("kind", "segment_damaged"),)] > 0
    finally:
        cluster.stop(check=False)
        kill_all(cluster)


@pytest.mark.parametrize("cluster", [[]], indirect=True)
def test_finalize_and_scale_end_whenever_the_aggregator_dies(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    chance = random.Random(5)
    for number in range(5):
        assert stub.SendTraceBatch(traffic.batch(rounds=5), timeout=30).success
        command = ["finalize"] if number % 3 else ["scale", f"function={1 + number % 2}"]
        ended = subprocess.Popen(
            [ROOT / "scripts/cluster", command[0], "--data", cluster.data, *command[1:]],
            env=cluster.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        # The moment is the point.
        threading.Event().wait(chance.uniform(0, 0.6))
        os.kill(wait_until(lambda: cluster.supervised_pid("aggregator"), "an aggregator"), signal.SIGKILL)
        text, _ = ended.communicate(timeout=60)
        assert ended.returncode == 0, text
        wait_until(lambda: cluster.status()["ready"], "a cluster that is ready")
    cluster.run("finalize")
    oracle = Oracle()
    oracle.note(traffic, ({resource: 0 for resource in RESOURCES}, 0), True)
    oracle.check(cluster.data)
