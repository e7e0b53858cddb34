"""Runs of the emulated agent (Tests/AgentEmulator): what it sends, the truth, and what a cluster makes of it."""
import collections
import contextlib
import json
import shutil
import struct
import subprocess

from cluster import Cluster
from outputs import json_files, records, rows, trace_events

DIALECTS = ("neutracer", "cumulative")


class Emulation:
    """What one run of the agent sends, read with Python's own protobuf, and the truth."""

    def __init__(self, directory, programs, contract, dialect, scenario, seed, *options):
        directory.mkdir(parents=True, exist_ok=True)
        out, truth = directory / "batches", directory / "truth.json"
        subprocess.run(
            [programs / "agent-emulator", "--seed", str(seed), "--dialect", dialect, "--scenario", scenario,
             "--out", out, "--truth", truth, *options],
            check=True,
        )
        self.dialect = dialect
        self.truth = json.loads(truth.read_text())
        self.messages = list(map(contract.messages.TraceBatch.FromString, self._split(out.read_bytes())))

    @staticmethod
    def _split(content):
        """The messages, each behind its length as four bytes."""
        position = 0
        while position < len(content):
            (count,) = struct.unpack_from("<I", content, position)
            yield content[position + 4:position + 4 + count]
            position += 4 + count


class Outcome:
    """What a cluster made of an emulation. The cluster is finished; its files and the metrics are kept."""

    def __init__(self, emulation, data, metrics, originals):
        self.emulation = emulation
        self.truth = emulation.truth
        self.data = data
        self.metrics = metrics
        self.originals = originals
        self.read = {}

    def total(self, name, **labels):
        """The sum of a metric's series with these labels."""
        wanted = set(labels.items())
        return sum(value for found, value in self.metrics.get(name, {}).items() if wanted <= set(found))

    def _once(self, read, resource):
        """The files are large: each is read once."""
        if (read, resource) not in self.read:
            self.read[read, resource] = read(self.data, resource)
        return self.read[read, resource]

    def records(self, resource):
        return self._once(records, resource)

    def rows(self, resource):
        return self._once(rows, resource)

    def events(self, resource):
        """Everything in the trace files of a resource."""
        return [event for path in json_files(self.data, resource) for event in trace_events(path)]

    def findings(self):
        lines = [
            line
            for path in sorted(self.data.glob("output/anomalies/*.jsonl"))
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        return list(map(json.loads, lines))

    def rules(self):
        return {(found["resource"], found["rule"]) for found in self.findings()}

    def summaries(self):
        """By resource, without what belongs to the window and the server's own state."""
        found = {}
        for path in sorted(self.data.glob("output/summary/*.json")):
            summary = json.loads(path.read_text(encoding="utf-8"))
            found[summary["resource"]] = {
                key: value for key, value in summary.items() if key not in ("stem", "window", "state")
            }
        return found

    def slices(self):
        """Milliseconds of each slice by process and function name; every B must have its E on its thread."""
        found = collections.defaultdict(list)
        stacks = collections.defaultdict(list)
        for event in self.records("function"):
            stack = stacks[event["pid"], event["tid"]]
            if event["ph"] == "B":
                stack.append(event)
            elif event["ph"] == "E":
                assert stack, f"an E without a B: {event}"
                begin = stack.pop()
                assert begin["name"] == event["name"], f"{event} ends {begin}"
                found[event["pid"], event["name"]].append(round((event["ts"] - begin["ts"]) / 1000))
        left = sum(map(len, stacks.values()))
        assert not left, f"{left} slices are left open"
        return found


@contextlib.contextmanager
def processed(directory, programs, emulation, *options):
    """Sends the emulation's batches one after another to a cluster of their own, and finalizes it."""
    cluster = Cluster(directory / "data", programs)
    try:
        cluster.up("--time-zone", "UTC", *options)
        call = cluster.channel().unary_unary(
            "/NeuTracer.TracerService/SendTraceBatch",
            request_serializer=lambda message: message.SerializeToString(),
        )
        for message in emulation.messages:
            call(message, timeout=60)
        cluster.settled_status(120)
        cluster.run("finalize")
        cluster.settled_status()
        outcome = Outcome(emulation, cluster.data, cluster.metrics(), cluster.metrics("/metrics/neutracer"))
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)
        left = cluster.processes()
        assert not left, f"stop left processes: {left}"
    # Its files are preallocated, and pytest keeps directories until the last test has run.
    shutil.rmtree(cluster.data / "log")
    yield outcome
