"""Whatever dialect an agent speaks, what comes out is what happened: see Tests/AgentEmulator for the agent."""
import collections

import pytest

from cluster import RESOURCES
from emulation import DIALECTS, Emulation, processed

SEEDS = (11, 12, 13)
RUNS = [(dialect, "standard", seed) for dialect in DIALECTS for seed in SEEDS] + [("neutracer", "hourly", 11)]
FIELDS = {
    "function": "trace_data", "gpu": "gpu_trace_data", "cpu": "cpu_trace_data", "memory": "memory_trace_data",
    "network": "network_trace_data", "io": "io_trace_data",
}
# How far a figure may be off: nobody knows what an agent skipped after the last event that it sent.
TOLERANCE = 0.001
CPU_TOLERANCE = 0.1

# What stands in files as the agent sent it, in the meaning and unit of its dialect. Nothing else may differ.
ARGUMENTS_AS_SENT = {
    # The mean of the finished calls, or their time over all calls: the same once a call has ended.
    ("function", "B"): {"avg_duration_us"},
    ("cpu", "i"): {"oncpu_time_us", "offcpu_time_us", "hotspot_percentage"},
    ("memory", "i"): {"alloc_size", "free_size"},
    # One dialect names the sender first, the other the traced process.
    ("network", "i"): {"src", "dst", "tx_bytes", "rx_bytes", "total_tx_packets", "total_rx_packets", "active_connect"},
    ("io", "i"): {"read_bytes", "write_bytes", "read_latency_ms", "write_latency_ms"},
    ("gpu", "i"): {"num_calls", "mem_trans_rate"},
}
COLUMNS_AS_SENT = {
    "function": set(),
    "cpu": {"OnCPU Time(μs)", "OffCPU Time(μs)", "Hotspot CPU Percentage(%)"},
    "memory": {"Alloc_size", "Free_Size"},
    "network": {
        "Source", "Destination", "tx_bytes", "rx_bytes", "total_tx_packets", "total_rx_packets", "active_connections",
    },
    "io": {"Read Bytes", "Write Bytes", "READ Latency (ms)", "WRITE Latency (ms)"},
    "gpu": {"Calls", "Transfer Rate"},
}
# What only one dialect knows: how many allocations there were, of which the other tells the bytes.
SUMMARY_OF_ONE_DIALECT = {
    "memory": {"allocations", "frees", "most_allocations"},
    # The mean is the one that the agent sends, in whole microseconds.
    "function": {"mean_ms"},
}


def outcome_of(tmp_path_factory, programs, contract, *run):
    directory = tmp_path_factory.mktemp("-".join(map(str, run[:3])))
    emulation = Emulation(directory, programs, contract, *run)
    return processed(directory, programs, emulation)


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: "-".join(map(str, run)))
def busy(request, tmp_path_factory, programs, contract):
    """What came of twenty busy seconds without anything unusual."""
    with outcome_of(tmp_path_factory, programs, contract, *request.param) as outcome:
        yield outcome


@pytest.fixture(scope="module")
def complete(tmp_path_factory, programs, contract):
    """What came of a run that both dialects describe alike, by dialect."""
    run = ("complete", 11)
    with outcome_of(tmp_path_factory, programs, contract, "neutracer", *run) as one:
        with outcome_of(tmp_path_factory, programs, contract, "cumulative", *run) as other:
            yield {"neutracer": one, "cumulative": other}


@pytest.fixture(scope="module", params=DIALECTS)
def unusual(request, tmp_path_factory, programs, contract):
    with outcome_of(tmp_path_factory, programs, contract, request.param, "anomalies", 11) as outcome:
        yield outcome


# What the agent sends


@pytest.mark.parametrize("scenario", ["complete", "anomalies"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_the_emulator_writes_is_what_protobuf_writes(tmp_path, programs, contract, dialect, scenario):
    emulation = Emulation(tmp_path, programs, contract, dialect, scenario, 11)
    again = b"".join(
        len(content).to_bytes(4, "little") + content
        for content in (message.SerializeToString() for message in emulation.messages)
    )
    assert again == (tmp_path / "batches").read_bytes()
    sent = {
        resource: sum(len(getattr(message, field)) for message in emulation.messages)
        for resource, field in FIELDS.items()
    }
    assert sent == emulation.truth["events_sent"]
    semantics = {message.semantics for message in emulation.messages}
    assert semantics == ({0} if dialect == "neutracer" else {contract.messages.CUMULATIVE})


def listing(findings):
    """A line a finding, as pytest would cut them."""
    lines = findings.items() if isinstance(findings, dict) else findings
    return "\n".join(map(str, ["", *lines]))


# Counters


def figures(outcome):
    """Yields name, value and truth of everything that is counted."""
    for pid, truth in outcome.truth["processes"].items():
        calls = sum(function["calls"] for function in truth["functions"].values())
        yield f"{pid} calls", outcome.total("trace_function_calls_total", pid=pid), calls
        for direction in ("tx", "rx"):
            for unit in ("bytes", "packets"):
                value = outcome.total(f"trace_network_{unit}_total", pid=pid, direction=direction)
                yield f"{pid} {direction} {unit}", value, truth["network"][f"{direction}_{unit}"]
        for operation in ("read", "write"):
            for unit in ("bytes", "operations"):
                value = outcome.total(f"trace_io_{unit}_total", pid=pid, operation=operation)
                yield f"{pid} {operation} {unit}", value, truth["io"][f"{operation}_{unit}"]
        for what in ("allocated", "freed"):
            value = outcome.total(f"trace_memory_{what}_bytes_total", pid=pid)
            yield f"{pid} {what}", value, truth["memory"][f"{what}_bytes"]
        for kernel, launches in truth["gpu"]["launches"].items():
            value = outcome.total("trace_gpu_kernel_launches_total", pid=pid, kernel=kernel)
            yield f"{pid} launches of {kernel}", value, launches
        for kind, rate in truth["gpu"]["transfer_rates"].items():
            value = outcome.total("trace_gpu_transfer_rate_bytes_per_second", pid=pid, kind=kind)
            yield f"{pid} {kind}", value, rate


def test_counters_are_true(busy):
    off = {
        name: (value, truth)
        for name, value, truth in figures(busy)
        if value != pytest.approx(truth, rel=TOLERANCE)
    }
    assert not off, listing(off)


def test_no_counter_is_of_a_process_that_was_not_traced(busy):
    known = set(busy.truth["processes"])
    for name, series in busy.metrics.items():
        found = {dict(labels).get("pid") for labels in series} - {None}
        assert found <= known, name


def test_time_on_the_cpu_is_about_true(busy):
    for pid, truth in busy.truth["processes"].items():
        seconds = busy.total("trace_cpu_time_seconds_total", pid=pid, state="on")
        assert seconds == pytest.approx(truth["cpu"]["seconds"], rel=CPU_TOLERANCE)


def test_migrations_are_true(busy):
    for pid, truth in busy.truth["processes"].items():
        for name in ("migrations", "numa_migrations"):
            # Few of them in all: one may have been skipped after the last sample.
            value = busy.total(f"trace_cpu_{name}_total", pid=pid)
            assert truth["cpu"][name] - 2 <= value <= truth["cpu"][name]


def test_calls_of_each_function_are_those_last_sent(busy):
    for pid, truth in busy.truth["processes"].items():
        shown = {
            name: busy.total("trace_function_calls_total", pid=pid, function=name) for name in truth["functions"]
        }
        last_sent = {name: function["calls_last_sent"] for name, function in truth["functions"].items()}
        off = {name: (shown[name], last_sent[name]) for name in last_sent if shown[name] != last_sent[name]}
        assert not off, listing(off)


def test_values_that_wrapped_are_counted(busy):
    wrapped = collections.Counter()
    for message in busy.emulation.messages:
        for event in message.network_trace_data:
            wrapped.update(name for name in ("tx_bytes", "rx_bytes") if getattr(event, name) >= 1 << 63)
    assert bool(wrapped) == (busy.emulation.dialect == "neutracer")
    for field in ("tx_bytes", "rx_bytes"):
        value = busy.total("trace_values_invalid_total", resource="network", field=field)
        assert value == wrapped[field], field


def test_the_originals_metrics_keep_their_unit(busy):
    if busy.emulation.dialect != "neutracer":
        pytest.skip("the original server knew no other dialect")
    sent = {}
    for message in busy.emulation.messages:
        for event in message.gpu_trace_data:
            transfer = event.mem_trans_event
            if event.HasField("mem_trans_event"):
                sent[str(transfer.pid), transfer.kind_str] = transfer.mem_trans_rate
    served = {
        (labels["pid"], labels["kind_str"]): value
        for labels, value in (
            (dict(labels), value)
            for labels, value in busy.originals["neutracer_gpu_memory_transfer_rate_Mbytes_per_second"].items()
        )
    }
    assert served == sent
    for labels, value in busy.originals["neutracer_network_total_tx_bytes"].items():
        truth = busy.truth["processes"][dict(labels)["pid"]]["network"]
        assert value == pytest.approx(truth["tx_bytes"], rel=TOLERANCE)


# Files


def test_every_event_stands_in_the_trace_once(busy):
    assert {resource: len(busy.records(resource)) for resource in RESOURCES} == busy.truth["events_sent"]
    phases = collections.Counter(event["ph"] for event in busy.records("function"))
    assert phases["B"] == phases["E"]


def test_slices_are_the_calls_that_are_proved(busy):
    found = busy.slices()
    proved = {
        (int(pid), name): (function["pairs"], function["pair_milliseconds_sum"], function["pair_milliseconds_max"])
        for pid, truth in busy.truth["processes"].items()
        for name, function in truth["functions"].items()
        if function["pairs"]
    }
    shown = {key: (len(times), sum(times), max(times)) for key, times in found.items()}
    off = {key: (shown.get(key), proved.get(key)) for key in shown | proved if shown.get(key) != proved.get(key)}
    assert not off, listing(off)


def test_an_exit_is_a_row_and_a_proved_call_has_a_duration(busy):
    rows = busy.rows("function")
    functions = [function for truth in busy.truth["processes"].values() for function in truth["functions"].values()]
    assert len(rows) == sum(function["exits_sent"] for function in functions)
    durations = [float(row["Duration(us)"]) for row in rows if row["Duration(us)"]]
    assert len(durations) == sum(function["pairs"] for function in functions)
    assert sum(durations) == 1000 * sum(function["pair_milliseconds_sum"] for function in functions)
    for resource in set(RESOURCES) - {"function"}:
        assert len(busy.rows(resource)) == busy.truth["events_sent"][resource]


def test_nothing_unusual_is_found(busy):
    found = [(finding["rule"], finding["message"]) for finding in busy.findings()]
    assert not found, listing(found)
    assert not any(busy.metrics.get("trace_anomalies_total", {}).values())


def test_summaries_tell_the_calls_and_means_of_the_agent(busy):
    table = busy.summaries()["function"]["tables"]["functions"]
    functions = {
        (int(pid), name): function
        for pid, truth in busy.truth["processes"].items()
        for name, function in truth["functions"].items()
    }
    assert table["totals"]["calls"] == sum(function["calls_last_sent"] for function in functions.values())
    for row in (row for rows in table["top"].values() for row in rows):
        function = functions[row["pid"], row["function"]]
        assert row["calls"] == function["calls_last_sent"], row
        # Of all pairs where all came, by stamps cut to whole milliseconds; else the agent's own.
        rounding = 0 if busy.emulation.dialect == "neutracer" else 0.1
        assert row["mean_ms"] == pytest.approx(function["mean_microseconds_last_sent"] / 1000, abs=rounding), row


def test_both_directions_of_a_connection_are_one(busy):
    table = busy.summaries()["network"]["tables"]["connections"]
    truth = [process["network"] for process in busy.truth["processes"].values()]
    assert table["rows"] == sum(network["connections"] for network in truth)
    assert table["totals"]["sent_bytes"] == sum(network["tx_bytes_sent"] for network in truth)
    assert table["totals"]["received_bytes"] == sum(network["rx_bytes_sent"] for network in truth)


# Anomalies


def test_each_rule_fires_in_both_dialects(unusual):
    assert unusual.rules() == {(rule["resource"], rule["rule"]) for rule in unusual.truth["rules"]}


# Both dialects beside each other


def without_arguments_as_sent(resource, event):
    hidden = ARGUMENTS_AS_SENT.get((resource, event["ph"]), set()) if event.get("cat") == resource else set()
    arguments = event.get("args", {})
    ends = sorted(arguments[key] for key in ("src", "dst") if key in arguments)
    return {**event, "args": {key: value for key, value in arguments.items() if key not in hidden}, "ends": ends}


@pytest.mark.parametrize("resource", RESOURCES)
def test_traces_are_the_same_in_both_dialects(complete, resource):
    one, other = (
        [without_arguments_as_sent(resource, event) for event in complete[dialect].events(resource)]
        for dialect in DIALECTS
    )
    assert len(one) == len(other) > 0
    for left, right in zip(one, other):
        assert left == right


@pytest.mark.parametrize("resource", RESOURCES)
def test_tables_are_the_same_in_both_dialects(complete, resource):
    one, other = (
        [
            {name: value for name, value in row.items() if name not in COLUMNS_AS_SENT[resource]}
            for row in complete[dialect].rows(resource)
        ]
        for dialect in DIALECTS
    )
    assert len(one) == len(other) > 0
    for left, right in zip(one, other):
        assert left == right


def test_findings_are_the_same_in_both_dialects(complete):
    one, other = (complete[dialect].findings() for dialect in DIALECTS)
    assert one == other
    expected = {(rule["resource"], rule["rule"]) for rule in complete["neutracer"].truth["rules"]}
    assert complete["neutracer"].rules() == expected


def leaves(value, hidden, path=""):
    """Yields the path and the value of everything in a summary that has no parts."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
        return
    for key, part in parts:
        if key not in hidden:
            yield from leaves(part, hidden, f"{path}/{key}")


@pytest.mark.parametrize("resource", RESOURCES)
def test_summaries_are_the_same_in_both_dialects(complete, resource):
    hidden = SUMMARY_OF_ONE_DIALECT.get(resource, set())
    one, other = (dict(leaves(complete[dialect].summaries()[resource], hidden)) for dialect in DIALECTS)
    differing = {path: (one.get(path), other.get(path)) for path in one | other if one.get(path) != other.get(path)}
    assert not differing, listing(differing)


def test_stack_messages_are_the_same_in_both_dialects(complete):
    one, other = (
        [path.read_text() for path in sorted(complete[dialect].data.glob("output/txt/*.folded"))]
        for dialect in DIALECTS
    )
    assert one == other != []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_counters_of_a_complete_run_are_exact(complete, dialect):
    off = {name: (value, truth) for name, value, truth in figures(complete[dialect]) if value != truth}
    assert not off, listing(off)


# Names


def test_names_that_agents_send_are_shown(tmp_path, programs, contract):
    emulation = Emulation(tmp_path, programs, contract, "cumulative", "complete", 11, "--names")
    with processed(tmp_path, programs, emulation) as outcome:
        for resource in ("function", "gpu"):
            named = {
                (event["name"], event["pid"], event.get("tid")): event["args"]["name"]
                for event in outcome.events(resource)
                if event["ph"] == "M"
            }
            assert named["process_name", 4100, None] == "train", resource
            if resource == "function":
                assert named["process_name", 5200, None] == "prepare"
                assert named["thread_name", 4100, 4101] == "stream"
        assert outcome.total("trace_function_calls_total", process="train") > 0
