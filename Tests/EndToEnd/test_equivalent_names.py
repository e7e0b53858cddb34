"""Names that look the same and are canonically equivalent in Unicode, but are other bytes: they stay apart everywhere."""
import collections
import json

from outputs import json_files, rows, trace_events

# "é" as one scalar and as two, "Å" as the Angstrom sign and as a letter with a ring.
SPELLINGS = ["\u00e9", "e\u0301", "\u212b", "\u00c5", "A\u030a"]
CLOCK_US = 1_760_000_000_000_000


def function_batch(messages, host, calls):
    """`calls` names the functions that are called one after the other, a millisecond each."""
    batch = messages.TraceBatch(host=host, semantics=messages.CUMULATIVE)
    for number, name in enumerate(calls):
        for event_type in (0, 1):
            clock = CLOCK_US + number * 2_000 + event_type * 1_000
            batch.trace_data.add(
                timestamp=f"{clock // 1_000_000}.{clock % 1_000_000:06d}", event_type=event_type, cookie=number + 1,
                function_name=name, pid=7, tgid=7,
            )
    return batch


def cpu_batch(messages, host, names):
    """A sample of each process; their ids count from 100."""
    batch = messages.TraceBatch(host=host, semantics=messages.CUMULATIVE)
    for number, name in enumerate(names):
        batch.cpu_trace_data.add(
            timestamp=f"{CLOCK_US // 1_000_000}.000001", pid=100 + number, comm=name, utilization=50, migrations_count=3,
        )
    return batch


def calls_in_metrics(cluster):
    counted = collections.Counter()
    for labels, value in cluster.metrics()["trace_function_calls_total"].items():
        labels = dict(labels)
        counted[labels["host"], labels["function"]] += int(value)
    return counted


def test_names_of_other_bytes_stay_apart(cluster, contract):
    stub = contract.services.TracerServiceStub(cluster.channel())
    expected = collections.Counter()
    events = 0
    for host_number, host in enumerate(SPELLINGS):
        calls = []
        for number, name in enumerate(SPELLINGS):
            calls += [f"f{name}"] * (1 + number + 10 * host_number)
        expected.update((f"host-{host}", name) for name in calls)
        assert stub.SendTraceBatch(function_batch(contract.messages, f"host-{host}", calls), timeout=30).success
        names = [f"p{name}" for name in SPELLINGS]
        assert stub.SendTraceBatch(cpu_batch(contract.messages, f"host-{host}", names), timeout=30).success
        events += 2 * len(calls) + len(names)
    cluster.quiet_status(events)
    assert calls_in_metrics(cluster) == expected
    processes = {dict(labels)["process"] for labels in cluster.metrics()["trace_cpu_utilization_ratio"]}
    assert processes == {f"p{name}" for name in SPELLINGS}

    cluster.run("finalize")
    # Tables: a row a call, with host and function.
    assert collections.Counter((row["host"], row["Function"]) for row in rows(cluster.data, "function")) == expected
    # Traces: a file a host, which begins and ends each call.
    begun = collections.Counter()
    files = json_files(cluster.data, "function")
    assert len(files) == len(SPELLINGS), files
    for path in files:
        found = collections.Counter(event["name"] for event in trace_events(path) if event["ph"] == "B")
        (host,) = {host for host, _ in expected if found == calls_of(expected, host)}
        begun.update({(host, name): count for name, count in found.items()})
    assert begun == expected
    (summary,) = json.loads(
        cluster.tracectl("summary", "--data", str(cluster.data), "--resource", "function", "--top", "100", "--json").stdout
    )
    top = summary["tables"]["functions"]["top"]["busiest"]
    assert {(row["host"], row["function"]): row["calls"] for row in top} == expected
    overall = collections.Counter({row["function"]: row["calls"] for row in summary["tables"]["functions_overall"]["top"]["busiest"]})
    by_function = collections.Counter()
    for (_, name), count in expected.items():
        by_function[name] += count
    assert overall == by_function

    # What the aggregator saves, and reads again, keeps them apart too.
    cluster.stop()
    cluster.up()
    assert calls_in_metrics(cluster) == expected


def calls_of(expected, host):
    return collections.Counter({name: count for (of, name), count in expected.items() if of == host})
