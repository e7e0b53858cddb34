"""Call trees: calls and self times by call path, from what was sent to profiles, folded stacks and tracectl."""
import collections
import gzip
import json
import math
import os
import random
import signal
import xml.etree.ElementTree

import pytest

from cluster import wait_until

START_NS = 1_760_000_000_000_000_000
NAMES = ["main", "serve", "read;file", "parse", "query<T>", "encode é", "write"]


def percentiles(top):
    return {row["function"]: row["p99_ms"] for row in top["functions"] if "p99_ms" in row}


class Program:
    """Threads whose calls nest at random, and what was spent on which path: `paths[host, pid, (name, …)]` is
    `[calls, self nanoseconds]`."""

    def __init__(self, messages, seed, hosts=("web-1", "web-2"), pids=(4001, 4002, 4003, 4004, 4005)):
        self.messages = messages
        self.random = random.Random(seed)
        self.threads = [(host, pid, pid + offset) for host in hosts for pid in pids for offset in (0, 1)]
        self.stacks = {thread: [] for thread in self.threads}
        self.charged = {}
        self.now = {thread: START_NS for thread in self.threads}
        self.cookie = 0
        self.steps = collections.defaultdict(list)  # [thread] -> (time, is a call's begin, path behind it)
        self.paths = collections.defaultdict(lambda: [0, 0])
        self.began = {}  # [cookie] -> time
        self.ended = []  # (time, name, duration) of each call

    def batch(self, host, events, ends=False):
        """A batch of one host; with `ends`, all calls end."""
        batch = self.messages.TraceBatch(host=host, semantics=self.messages.CUMULATIVE)
        own = [thread for thread in self.threads if thread[0] == host]
        for _ in range(events):
            self._step(batch, self.random.choice(own), self.random.random() < 0.5)
        for thread in own if ends else ():
            while self.stacks[thread]:
                self._step(batch, thread, True)
        return batch

    def _step(self, batch, thread, is_exit):
        host, pid, tid = thread
        stack = self.stacks[thread]
        self.now[thread] += self.random.randrange(1, 2_000) * 1_000
        if stack:
            self.paths[host, pid, tuple(name for name, _ in stack)][1] += self.now[thread] - self.charged[thread]
        self.charged[thread] = self.now[thread]
        if is_exit and stack:
            kind, (name, cookie) = 1, self._pop(thread)
        elif len(stack) < 6:
            self.cookie += 1
            self.began[self.cookie] = self.now[thread]
            kind, (name, cookie) = 0, (self.random.choice(NAMES), self.cookie)
            stack.append((name, cookie))
            self.paths[host, pid, tuple(name for name, _ in stack)][0] += 1
        else:
            kind, (name, cookie) = 1, self._pop(thread)
        self.steps[thread].append((self.now[thread], kind == 0, tuple(name for name, _ in stack)))
        second, rest = divmod(self.now[thread], 10**9)
        batch.trace_data.add(
            timestamp=f"{second}.{rest:09d}", event_type=kind, cookie=cookie, function_name=name, pid=tid, tgid=pid
        )

    def _pop(self, thread):
        name, cookie = self.stacks[thread].pop()
        self.ended.append((self.now[thread], name, self.now[thread] - self.began[cookie]))
        return name, cookie

    def p99(self, begin=0, end=1 << 63):
        """The 99th percentile of the durations of each function's calls that ended in a span of time, in milliseconds."""
        durations = collections.defaultdict(list)
        for now, name, duration in self.ended:
            if begin <= now <= end:
                durations[name].append(duration / 1e6)
        return {name: sorted(values)[math.ceil(0.99 * len(values)) - 1] for name, values in durations.items()}

    def between(self, begin, end):
        """The sums of a span of time, as `sums`: a thread's time counts as far as its calls are open in the span."""
        paths = collections.defaultdict(lambda: [0, 0])
        for (host, pid, _), steps in self.steps.items():
            for (now, is_call, path), (later, *_) in zip(steps, steps[1:] + [(end, None)]):
                if is_call and begin <= now <= end:
                    paths[host, pid, path][0] += 1
                if path and min(later, end) > max(now, begin):
                    paths[host, pid, path][1] += min(later, end) - max(now, begin)
        return {path: tuple(sums) for path, sums in paths.items() if any(sums)}

    def sums(self):
        return {path: tuple(sums) for path, sums in self.paths.items() if any(sums)}


# pprof, decoded by hand.


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        else:
            assert tag & 7 == 2
            count, at = varint(data, at)
            value, at = data[at:at + count], at + count
        yield tag >> 3, value


def packed(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def read_pprof(data):
    """`{(host, pid, process, (outermost, …)): [calls, self nanoseconds]}`, checked against profile.proto's rules."""
    strings, types, functions, locations, samples, times = [], [], {}, {}, [], {}
    for field, value in fields(data):
        if field == 6:
            strings.append(value.decode("utf-8"))
        elif field == 1:
            types.append(dict(fields(value)))
        elif field == 5:
            function = dict(fields(value))
            functions[function[1]] = function[2]
        elif field == 4:
            location = dict(fields(value))
            locations[location[1]] = dict(fields(location[4]))[1]
        elif field == 2:
            samples.append(list(fields(value)))
        else:
            times[field] = value
    assert strings[0] == "" and 0 not in functions and 0 not in locations
    assert [(strings[each[1]], strings[each[2]]) for each in types] == [("calls", "count"), ("time", "nanoseconds")]
    assert times[9] >= START_NS and times[10] > 0 and strings[times[14]] == "time"
    paths = collections.defaultdict(lambda: [0, 0])
    for sample in samples:
        path, values, labels = (), None, {}
        for field, value in sample:
            if field == 1:
                path = tuple(strings[functions[locations[number]]] for number in reversed(packed(value)))
            elif field == 2:
                values = packed(value)
            else:
                label = dict(fields(value))
                labels[strings[label[1]]] = strings[label[2]] if 2 in label else label[3]
        sums = paths[labels["host"], labels.get("pid"), labels["process"], path]
        sums[0] += values[0]
        sums[1] += values[1]
    return paths


def profiles(cluster):
    return sorted(cluster.data.glob("output/profile/profile_*.pb.gz"))


def of_all_windows(cluster):
    paths = collections.defaultdict(lambda: [0, 0])
    for path in profiles(cluster):
        for key, sums in read_pprof(gzip.decompress(path.read_bytes())).items():
            paths[key][0] += sums[0]
            paths[key][1] += sums[1]
    return paths


def folded_lines(text):
    lines = collections.Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        lines[stack] += int(count)
    return lines


def as_folded(sums):
    """What folded stacks are to be made of sums by path: without process ids, paths without time left out."""
    lines = collections.Counter()
    for (host, pid, path), (_, nanoseconds) in sums.items():
        if nanoseconds:
            names = [name.replace(";", ":") for name in path]
            lines[";".join([host, f"pid-{pid}", *names])] += nanoseconds
    return lines


def send(cluster, contract, batch, seconds=60):
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(
        batch, timeout=seconds, wait_for_ready=True
    )


def assert_same(cluster, program):
    found = {(host, pid, path): tuple(sums) for (host, pid, _, path), sums in of_all_windows(cluster).items()}
    expected = program.sums()
    assert found == expected, f"{len(found)} paths, {len(expected)} expected"
    folded = collections.Counter()
    for path in sorted(cluster.data.glob("output/profile/profile_*.folded")):
        folded += folded_lines(path.read_text())
    assert folded == as_folded(expected)


@pytest.mark.parametrize(
    "cluster", [pytest.param([], id="one worker"), pytest.param(["--workers", "function=2"], id="two workers")],
    indirect=True,
)
def test_paths_have_the_calls_and_times_that_were_sent(cluster, contract):
    """Over three windows, with calls that are open when a window ends, and a worker killed in the middle."""
    program = Program(contract.messages, seed=5)
    for window in range(3):
        for turn in range(4):
            for host in ("web-1", "web-2"):
                send(cluster, contract, program.batch(host, 150, ends=window == 2 and turn == 3))
            if window == 1 and turn == 1:
                os.kill(cluster.pid("function.0"), signal.SIGKILL)
        cluster.run("finalize", "--timeout", "60")
    wait_until(lambda: len(profiles(cluster)) == 3, "the profiles of three windows", 60)
    assert_same(cluster, program)

    # The summary's totals are the same times.
    totals = collections.Counter()
    for path in cluster.data.glob("output/summary/summary_*_function.json"):
        for row in json.loads(path.read_text())["tables"]["processes"]["top"]["busiest"]:
            totals[row["host"], row["pid"]] += round(row["total_ms"] * 1e6)
    spent = collections.Counter()
    for (host, pid, _), (_, nanoseconds) in program.sums().items():
        spent[host, pid] += nanoseconds
    assert {key: abs(totals[key] - spent[key]) < 1_000 for key in spent} == dict.fromkeys(spent, True)

    # The same by tracectl.
    data = ["--data", str(cluster.data)]
    expected = program.sums()
    assert folded_lines(cluster.tracectl("flame", *data).stdout) == as_folded(expected)
    own = {key: sums for key, sums in expected.items() if key[:2] == ("web-2", 4003)}
    one = cluster.tracectl("flame", *data, "--host", "web-2", "--pid", "4003").stdout
    assert folded_lines(one) == as_folded(own) and own
    speedscope = json.loads(cluster.tracectl("flame", *data, "--format", "speedscope").stdout)
    assert sum(speedscope["profiles"][0]["weights"]) == sum(spent.values())
    picture = xml.etree.ElementTree.fromstring(cluster.tracectl("flame", *data, "--format", "svg").stdout)
    titles = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0].startswith("all: ") and any(title.startswith("query<T>: ") for title in titles)

    top = json.loads(cluster.tracectl("top", *data, "--by", "calls", "--json").stdout)
    calls, times = collections.Counter(), collections.Counter()
    for (_, _, path), sums in expected.items():
        calls[path[-1]] += sums[0]
        times[path[-1]] += sums[1]
    assert {row["function"]: row["calls"] for row in top["functions"]} == dict(calls)
    assert [row["calls"] for row in top["functions"]] == sorted(calls.values(), reverse=True)
    assert all(abs(row["self_ms"] * 1e6 - times[row["function"]]) < 1_000 for row in top["functions"])
    assert top["coverage"]["windows"] == 3 and not top["coverage"]["exceeds_span"]
    assert percentiles(top) == pytest.approx(program.p99(), rel=0.011)

    first, _, last = [path.name.removeprefix("profile_").removesuffix(".pb.gz") for path in profiles(cluster)]
    difference = json.loads(
        cluster.tracectl("diff", *data, "--window", last, "--against-window", first, "--json").stdout
    )
    assert difference["coverage"]["windows"] == difference["against"]["windows"] == 1
    changes = [abs(row["difference_ms_per_second"]) for row in difference["functions"]]
    assert changes == sorted(changes, reverse=True) and len(changes) == len(NAMES)


def test_agents_that_send_parts_have_no_tree_and_it_is_said(cluster, contract):
    batch = contract.messages.TraceBatch(host="web-1", semantics=contract.messages.NEUTRACER)
    for call in (1, 2, 40):
        for kind in (0, 1):
            batch.trace_data.add(
                timestamp=f"{START_NS // 10**9 + call}.{kind}00", event_type=kind, cookie=9, function_name="main",
                pid=4001, tgid=4001, call_count=call, avg_duration_us=100,
            )
    program = Program(contract.messages, seed=6, hosts=("web-2",), pids=(4002,))
    send(cluster, contract, batch)
    send(cluster, contract, program.batch("web-2", 60, ends=True))
    cluster.run("finalize", "--timeout", "60")
    (path,) = profiles(cluster)
    paths = read_pprof(gzip.decompress(path.read_bytes()))
    assert paths.pop(("web-1", 4001, "pid-4001", ("(sampled)",))) == [40, 0]
    found = {(host, pid, frames): tuple(sums) for (host, pid, _, frames), sums in paths.items()}
    assert found == program.sums()
    assert "web-1;pid-4001;(sampled) 0" in path.with_name(path.name.replace(".pb.gz", ".folded")).read_text()
    done = cluster.tracectl("top", "--data", str(cluster.data))
    assert "4001" in done.stderr and "only some of their calls" in done.stderr and "main" in done.stdout
    coverage = json.loads(cluster.tracectl("top", "--data", str(cluster.data), "--json").stdout)["coverage"]
    assert coverage["sampled"] == [{"host": "web-1", "pid": 4001, "process": "pid-4001", "calls": 40}]


def test_spans_and_what_is_wrong_with_them(cluster, contract):
    data = ["--data", str(cluster.data)]
    done = cluster.tracectl("top", *data)
    assert done.stdout == "" and "tracectl finalize" in done.stderr
    program = Program(contract.messages, seed=7, hosts=("web-1",), pids=(4001,))
    send(cluster, contract, program.batch("web-1", 300, ends=True))
    cluster.run("finalize", "--timeout", "60")
    begin, end = START_NS // 10**9, max(program.now.values()) // 10**9 + 1
    whole = cluster.tracectl("top", *data, "--from", str(begin), "--to", str(end))
    assert "main" in whole.stdout and whole.stderr == ""
    later = cluster.tracectl("flame", *data, "--from", str(end + 1))
    assert later.stdout == "" and "No finalized window" in later.stderr
    assert cluster.tracectl("diff", *data, check=False).returncode == 2
    (path,) = profiles(cluster)
    path.write_bytes(path.read_bytes()[:-40])
    refused = cluster.tracectl("flame", *data, check=False)
    assert refused.returncode == 1 and path.name in refused.stderr, refused.stderr


@pytest.mark.parametrize(
    "cluster", [pytest.param([], id="plain"), pytest.param(["--compress", "zstd"], id="compressed")], indirect=True
)
def test_a_span_counts_what_is_in_it(cluster, contract):
    """Spans inside a window, and over two of which each lies in it only in part: calls and times by the events."""
    data = ["--data", str(cluster.data)]
    program = Program(contract.messages, seed=9)
    ends = []
    for window in range(3):
        for _ in range(2):
            for host in ("web-1", "web-2"):
                send(cluster, contract, program.batch(host, 400, ends=window == 2))
        cluster.run("finalize", "--timeout", "60")
        ends.append(max(program.now.values()))
        # Windows follow one another, with calls that are open meanwhile.
        program.now = {thread: ends[-1] + 1_000_000 for thread in program.threads}
    draw = random.Random(3)
    spans = [(draw.randrange(START_NS, ends[0]), draw.randrange(ends[0], ends[1])) for _ in range(4)]
    for begin, end in zip([START_NS] + ends, ends):
        spans += [sorted(draw.sample(range(begin + 2_000_000, end), 2)) for _ in range(4)]
    for begin, end in spans:
        span = ["--from", f"{begin / 1e9:.6f}", "--to", f"{end / 1e9:.6f}"]
        begin, end = (round(float(text) * 1e6) * 1_000 for text in span[1::2])
        expected = program.between(begin, end)
        assert folded_lines(cluster.tracectl("flame", *data, *span).stdout) == as_folded(expected), (begin, end)
        top = json.loads(cluster.tracectl("top", *data, *span, "--by", "calls", "--json").stdout)
        calls = collections.Counter()
        for (_, _, path), (count, _) in expected.items():
            calls[path[-1]] += count
        assert {row["function"]: row["calls"] for row in top["functions"]} == dict(calls)
        assert percentiles(top) == pytest.approx(program.p99(begin, end), rel=0.011)
        coverage = top["coverage"]
        assert coverage["windows_in_part"] == coverage["windows"] > 0 and not coverage["exceeds_span"]
        assert begin <= coverage["first_ts_ns"] and coverage["last_ts_ns"] <= end
        own = {key: sums for key, sums in expected.items() if key[:2] == ("web-1", 4002)}
        one = cluster.tracectl("flame", *data, *span, "--host", "web-1", "--pid", "4002").stdout
        assert folded_lines(one) == as_folded(own) and own


def test_retention_takes_the_profile_with_its_window(tmp_path, programs, contract):
    from cluster import Cluster

    cluster = Cluster(tmp_path / "data", programs)
    try:
        cluster.up("--retain-age", "3s")
        program = Program(contract.messages, seed=8, hosts=("web-1",), pids=(4001,))
        send(cluster, contract, program.batch("web-1", 60, ends=True))
        cluster.run("finalize", "--timeout", "60")
        assert profiles(cluster)
        wait_until(lambda: not list(cluster.data.glob("output/profile/*")), "the profile to be deleted", 60)
    finally:
        cluster.stop(check=False)
