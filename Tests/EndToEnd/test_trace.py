"""tracectl trace: one trace of all resources, windows and hosts, against what was sent."""
import collections
import gzip
import json
import random
import re
import threading

import pytest

from check_trace import check
from outputs import json_files
from traffic import RESOURCES, Traffic

START = 1_760_000_000_000_000  # µs


def trace(cluster, *arguments, check=True):
    return cluster.tracectl("trace", "--data", str(cluster.data), *arguments, check=check)


def written(cluster, path, *arguments):
    """The document in the file, which viewers would take, and the report; every call in it has both ends."""
    report = json.loads(trace(cluster, "--output", str(path), "--json", *arguments).stdout)
    found = check(str(path))
    assert not found["problems"], found
    assert not found["kinds"].get("E without B") and not found["kinds"].get("open at end"), found
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        document = json.load(file)
    assert report["complete"] == document["metadata"]["complete"]
    assert report["left_out"] == document["metadata"]["left_out"]
    return document, report


def received(events):
    """The events that stand for received ones, by resource."""
    found = collections.defaultdict(list)
    for event in events:
        if event.get("cat") in RESOURCES and event["ph"] in "BEi":
            found[event["cat"]].append(event)
    return found


def process_names(events):
    return {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}


def slices(events):
    """How often each (process, thread, name, begin, end) stands in the trace, in µs."""
    open_calls, found = collections.defaultdict(list), collections.Counter()
    for event in events:
        thread = event.get("pid"), event.get("tid")
        if event["ph"] == "B":
            open_calls[thread].append((event["name"], event["ts"]))
        elif event["ph"] == "E":
            name, begin = open_calls[thread].pop()
            assert name == event["name"]
            found[(*thread, name, round(begin), round(event["ts"]))] += 1
    assert not any(open_calls.values())
    return found


def send(cluster, contract, batch):
    answer = contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30)
    assert answer.success, answer.message


@pytest.mark.smoke
def test_one_trace_holds_all_resources_and_hosts(cluster, contract, tmp_path):
    """Two hosts with the same process ids, three windows, and one more that is not closed."""
    hosts = {
        "web-1": Traffic(contract.messages, clock_us=START, processes=(4000,)),
        "web-2": Traffic(contract.messages, clock_us=START + 500, processes=(4000, 4001)),
    }
    for window in range(3):
        for host, traffic in hosts.items():
            for _ in range(2):
                batch = traffic.batch(host=host, rounds=5)
                if window == 1:
                    batch.names.add(pid=4000, tid=4100, name=f"serve \"{host}\" <1>")
                send(cluster, contract, batch)
        cluster.run("finalize")
    sent = {host: {name: list(stamps) for name, stamps in traffic.sent.items()} for host, traffic in hosts.items()}
    send(cluster, contract, hosts["web-1"].batch(host="web-1"))

    document, report = written(cluster, tmp_path / "all.json.gz")
    events = document["traceEvents"]
    names = process_names(events)
    assert sorted(names.values()) == [
        "crunch (pid 4000) on web-1", "crunch (pid 4000) on web-2", "crunch (pid 4001) on web-2",
    ]
    assert 4000 in names and 4001 in names and len(names) == 3
    by_resource = received(events)
    for resource in RESOURCES:
        found = collections.defaultdict(list)
        for event in by_resource[resource]:
            found[names[event["pid"]].rpartition(" on ")[2]].append(round(event["ts"]))
        assert {host: sorted(stamps) for host, stamps in found.items()} == {
            host: sorted(stamps[resource]) for host, stamps in sent.items()
        }, resource
        assert report["events"][resource] == sum(len(stamps[resource]) for stamps in sent.values())
    assert report["hosts"] == 2 and report["processes"] == 3 and report["complete"]
    threads = [event["args"]["name"] for event in events if event["name"] == "thread_name" and event["tid"] == 4100]
    assert sorted(threads) == ['serve "web-1" <1>', 'serve "web-2" <1>'], threads

    # One host alone has no need of its name.
    document, _ = written(cluster, tmp_path / "one.json", "--host", "web-2", "--pid", "4000")
    assert process_names(document["traceEvents"]) == {4000: "crunch"}
    # And the same on standard output, under either name.
    printed = trace(cluster)
    assert printed.stderr == "" and json.loads(printed.stdout)["traceEvents"] == events
    cat = cluster.tracectl("cat", "--resource", "all", "--data", str(cluster.data)).stdout
    assert json.loads(cat)["traceEvents"] == events


def test_spans_cut_calls_and_nothing_else(cluster, contract, tmp_path):
    """Calls of three windows, of threads of two hosts, against slices that are worked out here."""
    draw = random.Random(5)
    calls = []  # (host, thread, name, begin, end), end None: still open
    clock = START
    stacks = collections.defaultdict(list)
    instants = []
    for _ in range(3):
        for host in ("one", "two"):
            batch = contract.messages.TraceBatch(host=host, semantics=contract.messages.CUMULATIVE)
            for _ in range(150):
                clock += draw.randrange(1, 3000)
                thread = draw.choice((7, 8))
                stack = stacks[host, thread]
                stamp = f"{clock // 1_000_000}.{clock % 1_000_000:06d}"
                ends = bool(stack) and draw.random() < 0.5
                if ends:
                    name, cookie, begin = stack.pop()
                    calls.append((host, thread, name, begin, clock))
                else:
                    name, cookie = f"f{draw.randrange(5)}", clock
                    stack.append((name, cookie, clock))
                batch.trace_data.add(
                    timestamp=stamp, event_type=int(ends), cookie=cookie, function_name=name, pid=thread, tgid=7
                )
                if draw.random() < 0.3:
                    batch.cpu_trace_data.add(timestamp=stamp, pid=7, comm="python", utilization=5)
                    instants.append(clock)
            send(cluster, contract, batch)
        cluster.run("finalize")
    calls += [
        (host, thread, name, begin, None) for (host, thread), stack in stacks.items() for name, _, begin in stack
    ]
    assert sum(end is None for *_, end in calls) > 3
    last = clock

    spans = [(None, None), (START - 1000, START - 500)]
    spans += [tuple(sorted(draw.randrange(START, last) for _ in range(2))) for _ in range(12)]
    for begin, end in spans:
        arguments = []
        if begin:
            arguments = ["--from", f"{begin / 1e6:.6f}", "--to", f"{end / 1e6:.6f}"]
        document, report = written(cluster, tmp_path / "span.json", *arguments)
        events = document["traceEvents"]
        low, high = begin or START, end or last
        expected = collections.Counter()
        for host, thread, name, start, stop in calls:
            if start <= high and (stop is None or stop >= low):
                expected[host, thread, name, max(start, low), min(stop or high, high)] += 1
        names = process_names(events)
        found = collections.Counter()
        for (pid, tid, name, start, stop), count in slices(events).items():
            found[names[pid].rpartition(" on ")[2], tid, name, start, stop] += count
        assert found == expected, (begin, end, found - expected, expected - found)
        cpu = [round(event["ts"]) for event in received(events)["cpu"]]
        assert sorted(cpu) == sorted(stamp for stamp in instants if low <= stamp <= high)
        # What was cut is marked.
        for event in events:
            if event["ph"] == "B" and event["cat"] == "continued":
                assert event["ts"] == begin and event["args"]["began"] < begin
            if event["ph"] == "E" and "cat" not in event:
                assert round(event["ts"]) == high and event["args"] == {"clipped": True}


def test_a_limit_is_kept_and_what_it_leaves_out_is_said(cluster, contract, tmp_path):
    traffic = Traffic(contract.messages)
    for _ in range(10):
        send(cluster, contract, traffic.batch(rounds=20))
    cluster.run("finalize")
    whole, report = written(cluster, tmp_path / "whole.json")
    assert report["bytes"] == (tmp_path / "whole.json").stat().st_size > 200_000
    for limit in (64 << 10, 100_000, 177_777, 1 << 30):
        path = tmp_path / "limited.json"
        document, report = written(cluster, path, "--limit", str(limit))
        assert path.stat().st_size <= limit
        found = received(document["traceEvents"])
        for resource, stamps in traffic.sent.items():
            assert len(found[resource]) == report["events"][resource]
            assert report["events"][resource] + report["left_out"][resource] == len(stamps), resource
        assert report["complete"] == (limit == 1 << 30)
        # It is the beginning of the whole.
        stamps = [event["ts"] for event in document["traceEvents"] if event.get("cat") in RESOURCES]
        assert stamps == [event["ts"] for event in whole["traceEvents"] if event.get("cat") in RESOURCES][:len(stamps)]
    printed = trace(cluster, "--limit", "64K")
    assert len(printed.stdout.encode()) <= 64 << 10
    assert re.search(r"limit is reached: [\d,]+ events \(function [\d,]+, .*\) and 0 anomalies are left out", printed.stderr)
    line = trace(cluster, "--limit", "1G", "--output", str(tmp_path / "line.json")).stdout
    assert re.fullmatch(r".*line\.json: 2,400 events \(function 800, .*\) and 0 anomalies of 3 processes, [\d,]+ bytes\n", line)


def test_traffic_has_rates_and_findings_their_threads(cluster, contract, tmp_path):
    batch = contract.messages.TraceBatch(host="one", semantics=contract.messages.CUMULATIVE)
    draw, total = random.Random(2), 0
    for step in range(200):
        stamp = START + step * 17_000
        total += draw.randrange(100_000)
        text = f"{stamp // 1_000_000}.{stamp % 1_000_000:06d}"
        batch.network_trace_data.add(timestamp=text, pid=7, tgid=7, comm="python", is_send=True, tx_bytes=total + 1)
        if step == 0:
            first = total
    batch.trace_data.add(timestamp=f"{START // 1_000_000}", event_type=0, cookie=1, function_name="f", pid=9, tgid=7)
    batch.trace_data.add(timestamp=f"{START // 1_000_000 + 2}", event_type=1, cookie=1, function_name="f", pid=9, tgid=7)
    send(cluster, contract, batch)
    cluster.run("finalize")
    document, report = written(cluster, tmp_path / "rates.json")
    rates = [event for event in document["traceEvents"] if event["name"] == "network bytes/s"]
    # Each is the mean of a tenth of a second.
    assert sum(event["args"]["tx"] for event in rates) == 10 * (total - first)
    assert 20 < len(rates) < 60
    counters = [event["args"]["tx_bytes"] for event in document["traceEvents"] if event["name"] == "network"]
    assert max(counters) == total + 1 and counters == sorted(counters)
    (finding,) = [event for event in document["traceEvents"] if event.get("cat") == "anomaly"]
    assert (finding["name"], finding["ph"], finding["pid"], finding["tid"]) == ("slow_call", "i", 7, 9)
    assert report["events"]["anomaly"] == 1


def test_what_cannot_be_written_is_said(cluster, contract, tmp_path):
    missing = cluster.tracectl("trace", "--data", str(tmp_path / "none"), check=False)
    assert missing.returncode == 1 and "--data" in missing.stderr
    send(cluster, contract, Traffic(contract.messages).batch())
    cluster.run("finalize")
    empty = trace(cluster, "--to", "2020-01-01T00:00:00Z")
    assert json.loads(empty.stdout)["traceEvents"] == [] and "No event in the final files" in empty.stderr
    for wrong, reason in (
        (["--limit", "1K"], "64K"), (["--json"], "--output"), (["--from", "noon"], "invalid"),
        (["--from", "1760000001", "--to", "1760000000"], "--from is after --to"),
    ):
        refused = trace(cluster, *wrong, check=False)
        assert refused.returncode == 2 and reason in refused.stderr and not refused.stdout, refused
    refused = cluster.tracectl(
        "cat", "--data", str(cluster.data), "--resource", "all", "--format", "csv", check=False
    )
    assert refused.returncode == 2 and "name one resource" in refused.stderr
    refused = trace(cluster, "--output", str(tmp_path), check=False)
    assert refused.returncode == 1 and "is not a file" in refused.stderr

    # A file that is damaged or cut off ends it; what was there before stays.
    target = tmp_path / "trace.json"
    target.write_text("before")
    (path,) = json_files(cluster.data, "io")
    whole = path.read_bytes()
    for damage in (whole[:-20], whole.replace(b'{"ts":', b'{"tx":', 3)):
        path.write_bytes(damage)
        refused = trace(cluster, "--output", str(target), check=False)
        assert refused.returncode == 1 and path.name in refused.stderr and not refused.stdout, refused
        assert target.read_text() == "before" and not list(tmp_path.glob("*.part"))
    path.write_bytes(whole)
    trace(cluster, "--output", str(target))
    assert not check(str(target))["problems"]


@pytest.mark.parametrize("cluster", [["--retain-bytes", "2M", "--compress", "gzip"]], indirect=True)
def test_windows_come_and_go_meanwhile(cluster, contract, tmp_path):
    """While windows are published and others deleted, every trace holds whole windows and is sound."""
    traffic = Traffic(contract.messages)
    failures = []

    def publish():
        try:
            for _ in range(6):
                send(cluster, contract, traffic.batch(rounds=30))
                cluster.run("finalize")
        except BaseException as error:
            failures.append(error)
            raise

    publisher = threading.Thread(target=publish)
    send(cluster, contract, traffic.batch(rounds=30))
    cluster.run("finalize")
    publisher.start()
    runs = 0
    while publisher.is_alive() or runs < 3:
        document, report = written(cluster, tmp_path / "now.json")
        found = received(document["traceEvents"])
        for resource in RESOURCES:
            assert len(found[resource]) % (30 * (4 if resource in ("function", "gpu") else 1)) == 0, resource
        assert report["events"]["function"] > 0
        runs += 1
    publisher.join()
    assert not failures
