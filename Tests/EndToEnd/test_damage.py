"""Every kind of file below a data directory is damaged, and nothing is lost without a word.

    .venv/bin/python -m pytest Tests/EndToEnd/test_damage.py --damages 2000 --seed 7 -s

A cluster is killed as a whole with windows in every state; each trial copies its directory, damages one file, starts the
cluster again and holds what comes out against what was acknowledged. The kinds of files are those found in the directory
(Sources/FORMATS.md describes each), so a new one cannot be left out. Allowed outcomes:

- healed: everything that was acknowledged is in the final files, each event once, and no counter went back;
- said: what is missing is counted (`lost_rows`, dead letters or errors) and named in a log; all else is as above;
- refused: a process does not start, or `up` fails, and says what to do. A loss that is the operator's to accept is accepted
  then, and what is left is held against the above.
"""
import collections
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
from test_kills import Oracle
from traffic import Traffic

# Nothing reads these again: what stands there is for people and their programs, or of one run only.
UNREAD = re.compile(
    r"output/(csv|json|txt|anomalies|summary)/|logs/|run/services/|run/.*\.(lock|pid|sock)$|run/aggregator\.addr$"
    r"|damaged/|deadletters/"
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


class Template:
    """A cluster's directory after everything was killed at once, and what it has acknowledged."""

    def __init__(self, directory, programs, contract):
        self.programs = programs
        self.data = directory / "template"
        self.oracle = Oracle()
        cluster = Cluster(self.data, programs)
        cluster.up("--workers", "function=2")
        try:
            self.stub = contract.services.TracerServiceStub(cluster.channel())
            self.traffic = Traffic(contract.messages)
            self.sequence = 0
            for _ in range(2):
                self.send()
                cluster.run("finalize")
            self.send()
            cluster.settled_status()
            self.leave_a_window_unmerged(cluster)
            self.send()
            self.leave_checkpoints()
        finally:
            for channel in cluster.channels:
                channel.close()
            kill_all(cluster)

    def send(self):
        before = Oracle.state(self.traffic)
        for _ in range(5):
            self.sequence += 1
            batch = self.traffic.batch(rounds=40, client_id="template", sequence=self.sequence)
            assert self.stub.SendTraceBatch(batch, timeout=30).success
        self.oracle.note(self.traffic, before, True)

    def leave_a_window_unmerged(self, cluster):
        """Its segments are closed and in checkpoints, and the aggregator stands still."""
        aggregator = cluster.supervised_pid("aggregator")
        before = {path: path.stat().st_mtime_ns for path in self.data.glob("checkpoints/*.checkpoint")}
        os.kill(aggregator, signal.SIGSTOP)
        finalizing = subprocess.Popen(
            [self.programs / "tracectl", "finalize", "--data", self.data],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

        def closed():
            return all(path.stat().st_mtime_ns > then for path, then in before.items())

        wait_until(closed, "checkpoints behind the barrier")
        finalizing.kill()
        finalizing.wait()

    def leave_checkpoints(self):
        """The open window has rows in segments too, where a worker checkpoints it soon."""
        then = {path: path.stat().st_mtime_ns for path in self.data.glob("checkpoints/*.checkpoint")}

        def saved():
            return any(path.stat().st_mtime_ns > then[path] for path in then)

        try:
            wait_until(saved, "a checkpoint in the open window", 5)
        except AssertionError:
            pass

    def copy(self, directory):
        subprocess.run(["cp", "-a", "--sparse=always", self.data, directory], check=True)
        return Cluster(directory, self.programs)


@pytest.fixture(scope="module")
def template(tmp_path_factory, programs, contract):
    return Template(tmp_path_factory.mktemp("damage"), programs, contract)


class Trial:
    """One file damaged: what, how, and what came of it."""

    def __init__(self, template, directory, path, way, chance):
        self.template = template
        self.cluster = template.copy(directory)
        self.path = path
        self.damage(self.cluster.data / path, way, chance)

    def damage(self, path, way, chance):
        size = written_bytes(path)
        self.place = chance.randrange(size)
        if way == "flip":
            self.what = f"bit flipped in byte {self.place} of {size} of {self.path}"
            with open(path, "r+b") as file:
                file.seek(self.place)
                byte = file.read(1)[0]
                file.seek(self.place)
                file.write(bytes([byte ^ 1 << chance.randrange(8)]))
        else:
            self.what = f"{self.path} cut from {size} to {self.place} bytes"
            os.truncate(path, self.place)

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
            cluster.run("stop", check=False, seconds=180)
            kill_all(cluster)

    def up(self):
        return self.cluster.run("up", "--grpc", self.cluster.grpc, "--metrics", self.cluster.http, check=False)

    def after_start(self):
        cluster = self.cluster
        lost = [worker for worker in cluster.status()["workers"] if worker.get("lost")]
        if lost:
            return self.refused(" ".join(worker["lost"] for worker in lost))
        done = cluster.run("finalize", "--timeout", "40", check=False)
        if done.returncode != 0:
            return self.refused(done.stdout + done.stderr)
        return self.compared(cluster.settled_status())

    def refused(self, words):
        text = words + self.log_text()
        remedies = ("remedy", "Restore", "restore", "backup", "tracectl skip", "Remove it", "another data directory", "Delete the line")
        assert any(word in text for word in remedies), f"{self.what}: refused without a remedy: {words}"
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
            sent = sum(map(len, oracle.acknowledged.values()))
            if status["written_events"] != sent:
                assert self.is_said(), f"{self.what}: {sent} events sent, {status['written_events']} counted"
                return "said"
            return "healed"
        assert self.is_said(), f"{self.what}: {status['lost_rows']} rows lost, and nobody says so"
        assert status["lost_rows"] or status["dead_lettered_events"], f"{self.what}: not counted: {status}"
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
        text = ""
        for path in sorted(self.cluster.data.glob("logs/*/*")):
            with open(path, encoding="utf-8", errors="replace") as file:
                whole = file.read()
            before = self.template.data / path.relative_to(self.cluster.data)
            text += whole[before.stat().st_size if before.is_file() else 0:]
        return text


def test_no_damage_goes_unnoticed(template, tmp_path, request):
    # The long form looks further, with a seed of its own.
    seed = request.config.getoption("--seed") or 1
    count = request.config.getoption("--damages")
    print(f"seed {seed}")
    chance = random.Random(seed)
    kinds = {name: paths for name, paths in files(template.data).items() if not UNREAD.match(name)}
    print("\n".join(f"{len(paths):4} {name}, as {paths[0]}" for name, paths in kinds.items()))
    plan = [(name, chance.choice(("flip", "cut"))) for name in kinds]
    if count:
        plan = [(chance.choice(list(kinds)), chance.choice(("flip", "cut"))) for _ in range(count)]
    outcomes = collections.defaultdict(collections.Counter)
    failures = []
    for number, (name, way) in enumerate(plan):
        trial = Trial(template, tmp_path / f"trial-{number}", chance.choice(kinds[name]), way, chance)
        try:
            outcomes[name][trial.run()] += 1
        except AssertionError as error:
            outcomes[name]["wrong"] += 1
            failures.append(str(error))
        subprocess.run(["rm", "-rf", tmp_path / f"trial-{number}"], check=True)
    for name, counts in outcomes.items():
        print(f"{name}: {dict(counts)}")
    assert not failures, f"{len(failures)} of {len(plan)}:\n" + "\n".join(failures)


def test_every_kind_of_file_is_described(template):
    """Sources/FORMATS.md has a line for each kind that lies in a data directory."""
    text = (ROOT / "Sources/FORMATS.md").read_text(encoding="utf-8")
    patterns = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    expressions = [re.sub(r"[A-Z]+", "[^/]*", re.escape(pattern)).replace(r"\*\*", ".*") for pattern in patterns]
    for name, paths in files(template.data).items():
        for path in paths:
            assert any(re.fullmatch(one, str(path)) for one in expressions), f"FORMATS.md lacks {path} ({name})"


def test_nothing_is_for_the_world_to_read(template):
    for path in [template.data / "output", *template.data.glob("*/"), *template.data.rglob("*")]:
        if path.is_symlink() or path == template.data / "run" or "run/" in str(path.relative_to(template.data)):
            continue
        mode = path.stat().st_mode & 0o777
        assert mode & 0o027 == 0, f"{path} has mode {mode:o}"


def test_windows_of_which_all_segments_are_gone_hold_nothing_up(template, tmp_path):
    """`rm segments/*/*`: what is lost is counted, and the next windows are published."""
    cluster = template.copy(tmp_path / "data")
    for path in cluster.data.glob("segments/*/*"):
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
