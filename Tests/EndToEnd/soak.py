"""What a long run needs: traffic that remembers a byte an event, files that are read and then deleted, figures."""
import array
import collections
import csv
import os
import statistics
import threading
import time

import grpc

from outputs import csv_files, json_files, trace_events
from traffic import RESOURCES, Traffic

AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
START_US = 1_760_000_000_000_000
# From one agent's first event to the next agent's: room for as many events as there are milliseconds in it.
SPAN_US = 10**11

# A byte an event or a call: its resource's number from 1 on, and what is known of it.
RESOURCE_BITS = 7
ACKNOWLEDGED = 8
IN_JSON = 16
IN_CSV = 32


class SoakTraffic(Traffic):
    """Traffic that forgets what it made, but for a byte an event and a call."""

    def __init__(self, messages, number):
        super().__init__(messages, START_US + number * SPAN_US, range(5001 + 10 * number, 5004 + 10 * number))
        self.event_marks = bytearray()
        self.call_marks = bytearray()
        self.settled_events = self.settled_calls = 0

    def _tick(self, resource):
        self.event_marks.append(RESOURCES.index(resource) + 1)
        return super()._tick(resource)

    def _function(self, batch, process):
        self.call_marks.extend((1, 1))
        super()._function(batch, process)

    def settle(self, is_acknowledged):
        """What was made since the last time is acknowledged, or may have been taken or not."""
        if is_acknowledged:
            for position in range(self.settled_events, len(self.event_marks)):
                self.event_marks[position] |= ACKNOWLEDGED
            for position in range(self.settled_calls, len(self.call_marks)):
                self.call_marks[position] |= ACKNOWLEDGED
        self.settled_events, self.settled_calls = len(self.event_marks), len(self.call_marks)
        self.completed_calls.clear()
        for stamps in self.sent.values():
            stamps.clear()


class Oracle:
    """Reads final files as they appear, marks what stands in them, and deletes them."""

    def __init__(self, traffics):
        self.traffics = traffics
        self.read = set()
        self.bytes = 0

    def consume(self, data):
        """Reads what files there are; fails at an event that was never made, or stands there again."""
        for resource in RESOURCES:
            for path in json_files(data, resource):
                self._take(path, self._json, resource)
            for path in csv_files(data, resource):
                self._take(path, self._csv, resource)
        for kind in ("txt", "anomalies", "summary"):
            # Not the hidden ones, which are not final yet.
            for path in data.glob(f"output/{kind}/[!.]*"):
                path.unlink(missing_ok=True)

    def _take(self, path, mark, resource):
        # A merge that was broken off behind the renaming is done anew, and so writes the same file again.
        if path.name not in self.read:
            self.bytes += path.stat().st_size
            mark(path, resource)
            self.read.add(path.name)
        path.unlink()

    def _json(self, path, resource):
        code = RESOURCES.index(resource) + 1
        for event in trace_events(path):
            if event.get("cat") == resource and event["ph"] in ("B", "E", "i"):
                self._mark_event(path, code, round(event["ts"]), IN_JSON)

    def _csv(self, path, resource):
        code = RESOURCES.index(resource) + 1
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if resource == "function":
                    traffic, offset = divmod(int(row["Cookie"]) - START_US // 1000, SPAN_US // 1000)
                    self._mark(path, self.traffics[traffic].call_marks, offset, code, IN_CSV)
                else:
                    self._mark_event(path, code, round(float(row["Timestamp"])) * 1000, IN_CSV)

    def _mark_event(self, path, code, stamp_us, flag):
        traffic, offset = divmod(stamp_us - START_US - 1000, SPAN_US)
        self._mark(path, self.traffics[traffic].event_marks, offset // 1000, code, flag)

    @staticmethod
    def _mark(path, marks, position, code, flag):
        assert position < len(marks) and marks[position] & RESOURCE_BITS == code, f"{path.name}: never sent"
        assert not marks[position] & flag, f"{path.name}: number {position} stands there more than once"
        marks[position] |= flag

    def check(self):
        """What was acknowledged stands in the files. Returns how many events do, and how many are acknowledged."""
        events, calls = collections.Counter(), collections.Counter()
        for traffic in self.traffics:
            events.update(traffic.event_marks)
            calls.update(traffic.call_marks)
        for known, needed in ((events, IN_JSON), (calls, IN_CSV)):
            lost = sum(count for mark, count in known.items() if mark & ACKNOWLEDGED and not mark & needed)
            assert lost == 0, f"{lost} acknowledged are lost"
        for mark, count in events.items():
            if mark & RESOURCE_BITS != 1:
                assert bool(mark & IN_JSON) == bool(mark & IN_CSV), f"{count} stand in JSON or CSV only"
        written = sum(count for mark, count in events.items() if mark & IN_JSON)
        return written, sum(count for mark, count in events.items() if mark & ACKNOWLEDGED)


class SoakAgent:
    """Sends at a steady pace: retries with client_id and sequence, or has neither and gives a batch up at an error."""

    def __init__(self, cluster, contract, number, is_retrying):
        self.traffic = SoakTraffic(contract.messages, number)
        self.stub = contract.services.TracerServiceStub(cluster.channel())
        self.identity = f"soak-{number}" if is_retrying else None
        self.latencies = array.array("f")
        self.given_up = 0
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        sequence = 0
        try:
            while not self.stopping.wait(0.1):
                sequence += 1
                identity = {"client_id": self.identity, "sequence": sequence} if self.identity else {}
                self.traffic.settle(self._deliver(self.traffic.batch(rounds=5, **identity)))
        except BaseException as error:  # shown by finish()
            self.failure = error

    def _deliver(self, batch):
        began = time.monotonic()
        while True:
            try:
                assert self.stub.SendTraceBatch(batch, timeout=30).success
                self.latencies.append(time.monotonic() - began)
                return True
            except grpc.RpcError as error:
                if error.code() not in AGAIN or time.monotonic() > began + 120:
                    raise
                if self.identity is None:
                    self.given_up += 1
                    return False

    def finish(self):
        self.stopping.set()
        self.thread.join(150)
        if self.failure is not None:
            raise self.failure
        assert not self.thread.is_alive()


class Gauges:
    """Samples of memory by process and of the data directory's size, in bytes, over time."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.samples = collections.defaultdict(list)  # name: [(seconds, bytes)]
        self.began = time.monotonic()

    def sample(self):
        now = time.monotonic() - self.began
        for pid, command in self.cluster.processes().items():
            name = self._name(command.split())
            resident = _resident_bytes(pid) if name else None
            if resident is not None:
                self.samples[name].append((now, resident))
        self.samples["data directory"].append((now, _disk_bytes(self.cluster.data)))

    @staticmethod
    def _name(words):
        program = words[0].rpartition("/")[2]
        if program == "trace-worker":
            return f"worker {words[words.index('--resource') + 1]}"
        return program.removeprefix("trace-") if program.startswith("trace-") else None

    def most(self, name):
        return max((size for _, size in self.samples[name]), default=0)

    def slope(self, name):
        """Bytes a minute, by least squares."""
        if len(self.samples[name]) < 2:
            return 0
        return 60 * statistics.linear_regression(*zip(*self.samples[name])).slope

    def table(self):
        width = max(map(len, self.samples))
        return "\n".join(
            f"  {name:<{width}}  most {self.most(name) / 1e6:7.1f} MB, {self.slope(name) / 1e6:+7.2f} MB/min"
            for name in sorted(self.samples)
        )


def _resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None  # ended meanwhile


def _disk_bytes(directory):
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                pass  # deleted meanwhile
    return total
