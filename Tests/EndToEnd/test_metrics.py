"""/metrics, as promtool and a real Prometheus server read it."""
import gzip
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster import wait_until
from monitoring import Prometheus, check_metrics
from traffic import RESOURCES, Traffic


@pytest.fixture(scope="module")
def traffic(shared_cluster, contract):
    """What the module's cluster was sent, all of it processed."""
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(shared_cluster.channel())
    for _ in range(10):
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
    shared_cluster.quiet_status(traffic.events)
    return traffic


def by_label(samples, label):
    totals = {}
    for labels, value in samples.items():
        key = dict(labels)[label]
        totals[key] = totals.get(key, 0) + value
    return totals


@pytest.mark.smoke
def test_events_are_counted_by_resource(shared_cluster, traffic):
    counted = by_label(shared_cluster.metrics()["trace_events_total"], "resource")
    assert counted == {resource: len(traffic.sent[resource]) for resource in RESOURCES}


def test_processor_metrics_follow_the_events(shared_cluster, traffic):
    metrics = shared_cluster.metrics()
    calls = by_label(metrics["trace_function_calls_total"], "function")
    assert calls == {"compute": len(traffic.completed_calls) / 2, "helper<int>": len(traffic.completed_calls) / 2}
    assert sum(metrics["trace_function_duration_seconds_count"].values()) == len(traffic.completed_calls)
    assert set(metrics["trace_cpu_utilization_ratio"].values()) == {0.4225}
    assert set(metrics["trace_memory_usage_bytes"].values()) == {65536}
    assert set(metrics["trace_gpu_memory_bytes"].values()) == {1 << 20}
    assert by_label(metrics["trace_io_latency_seconds_count"], "operation")["read"] == len(traffic.sent["io"])
    assert set(by_label(metrics["trace_cpu_migrations_total"], "process")) == {"crunch"}


def test_the_originals_names_are_served(shared_cluster, traffic):
    counted = by_label(shared_cluster.metrics("/metrics/neutracer")["neutracer_traces_total"], "type")
    assert counted == {resource: len(traffic.sent[resource]) for resource in RESOURCES}


# The original's metrics: their labels, and the value after the module's traffic where it is the same for all
# series (the last one sent, as in the original).
ORIGINALS = {
    "neutracer_traces_total": ("type", None),
    "neutracer_batch_size_bucket": ("type le", None),
    "neutracer_active_clients": ("", None),
    "neutracer_processing_time_seconds_bucket": ("le", None),
    "neutracer_inactivity_time_seconds": ("", None),
    "neutracer_function_calls_total": ("function process", 3),
    "neutracer_function_duration_seconds_bucket": ("function process le", None),
    "neutracer_function_stats": ("function process metric", None),
    "neutracer_active_functions": ("process", 0),
    "neutracer_cpu_utilization_percent": ("pid process", 0.4225),
    "neutracer_cpu_on_time_microseconds": ("pid process", 5000),
    "neutracer_cpu_off_time_microseconds": ("pid process", 700),
    "neutracer_cpu_migrations_total": ("pid process", 2),
    "neutracer_numa_migrations_total": ("pid process", 1),
    "neutracer_io_throughput_bytes": ("pid operation", None),
    "neutracer_io_latency_ms": ("pid operation", None),
    "neutracer_io_ops_per_second": ("pid operation", 0),
    "neutracer_io_total_bytes": ("pid operation", None),
    "neutracer_memory_usage_bytes": ("pid", 65536),
    "neutracer_memory_peak_bytes": ("pid", 131072),
    "neutracer_memory_allocations_per_second": ("pid", 0),
    "neutracer_memory_frees_per_second": ("pid", 0),
    "neutracer_memory_total_allocations": ("pid", 10),
    "neutracer_memory_total_frees": ("pid", 4),
    "neutracer_memory_allocation_size_bytes_bucket": ("pid le", None),
    "neutracer_network_tx_bytes_rate": ("pid process", 0),
    "neutracer_network_rx_bytes_rate": ("pid process", 0),
    "neutracer_network_tx_packets_rate": ("pid process", 0),
    "neutracer_network_rx_packets_rate": ("pid process", 0),
    "neutracer_network_total_tx_bytes": ("pid process", 1500),
    "neutracer_network_total_rx_bytes": ("pid process", 300),
    "neutracer_network_total_tx_packets": ("pid process", 3),
    "neutracer_network_total_rx_packets": ("pid process", 2),
    "neutracer_network_active_connections": ("pid process", 1),
    "neutracer_network_listening_ports": ("pid process", 0),
    "neutracer_gpu_memory_size_bytes": ("pid", 1 << 20),
    "neutracer_gpu_memory_transfer_rate_Mbytes_per_second": ("pid kind_str", 1),
    "neutracer_gpu_kernel_function_count": ("pid kernel_name", 5),
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_originals_metrics_keep_their_labels_and_meaning(shared_cluster, traffic, name):
    labels, value = ORIGINALS[name]
    series = shared_cluster.metrics("/metrics/neutracer")[name]
    assert series
    for found in series:
        assert {label for label, _ in found} == set(labels.split())
    if value is not None:
        assert set(series.values()) == {value}


def test_nothing_else_is_served_by_the_originals_names(shared_cluster, traffic):
    ours = {name.removesuffix("_bucket") for name in ORIGINALS}
    served = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(shared_cluster.get("/metrics/neutracer"))
    }
    assert served == ours


def test_the_originals_values_by_operation_and_metric(shared_cluster, traffic):
    metrics = shared_cluster.metrics("/metrics/neutracer")
    for name, expected in {
        "neutracer_io_throughput_bytes": {"read": 512, "write": 0},
        "neutracer_io_total_bytes": {"read": 512, "write": 0},
        "neutracer_io_latency_ms": {"read": 0.25, "write": 0.5},
    }.items():
        assert {(dict(labels)["operation"], value) for labels, value in metrics[name].items()} == set(expected.items())
    averages = {
        value for labels, value in metrics["neutracer_function_stats"].items()
        if dict(labels)["metric"] == "avg_duration_us"
    }
    assert averages == {7}
    assert {dict(labels)["metric"] for labels in metrics["neutracer_function_stats"]} == {
        "avg_duration_us", "max_duration_seconds"
    }
    processes = {dict(labels)["process"] for labels in metrics["neutracer_active_functions"]}
    assert processes == {"pid-4001", "pid-4002", "pid-4003"}


def test_inactivity_is_the_time_since_the_last_batch(shared_cluster, traffic):
    def inactivity():
        return shared_cluster.metrics("/metrics/neutracer")["neutracer_inactivity_time_seconds"][()]

    first = inactivity()
    assert 0 <= first < 600
    wait_until(lambda: inactivity() > first, "time goes on")


def test_a_page_has_the_sets_that_are_asked_for(shared_cluster, traffic):
    def sets(path):
        return {name.split("_")[0] for name in shared_cluster.metrics(path)}

    assert sets("/metrics") == {"trace", "neutracer"}
    assert sets("/metrics?names=trace&names=neutracer") == {"trace", "neutracer"}
    assert sets("/metrics?names=trace") == {"trace"}
    assert sets("/metrics?names=neutracer") == sets("/metrics/neutracer") == {"neutracer"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        shared_cluster.get("/metrics?names=else")
    assert refused.value.code == 400
    assert refused.value.read().decode() == (
        "names=else is unknown; there are names=trace and names=neutracer; without either, /metrics has both\n"
    )


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["/metrics", "/metrics?names=trace", "/metrics/neutracer"])
def test_promtool_finds_nothing(shared_cluster, traffic, path):
    assert not check_metrics(shared_cluster.get(path))


@pytest.mark.parametrize(("path", "sets"), [
    ("/metrics", {"trace", "neutracer"}), ("/metrics?names=trace", {"trace"}), ("/metrics?names=neutracer", {"neutracer"}),
])
def test_openmetrics_is_served_to_those_who_ask(shared_cluster, traffic, path, sets):
    text = shared_cluster.get(path, accept="application/openmetrics-text; version=1.0.0")
    assert text.endswith("\n# EOF\n")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    names = [family.name for family in text_string_to_metric_families(text)]
    assert len(set(names)) == len(names)
    assert {name.split("_")[0] for name in names} == sets
    assert {"trace_events", "neutracer_traces"} & set(names) == {
        {"trace": "trace_events", "neutracer": "neutracer_traces"}[name] for name in sets
    }


def test_a_prometheus_server_scrapes_it(shared_cluster, traffic, tmp_path):
    """As the original's configuration does: both sets are on the one page."""
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "trace", "static_configs": [{"targets": [shared_cluster.http]}]}],
    }))  # YAML takes JSON
    with Prometheus(tmp_path) as prometheus:

        def value(expression):
            return next((number for _, number in prometheus.query(expression)), None)

        wait_until(lambda: value('up{job="trace"}') == 1, "a successful scrape")
        for name in ("trace_events_total", "neutracer_traces_total"):
            wait_until(lambda: value(f"sum({name})") == traffic.events, f"every event in Prometheus' {name}")


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_pages_answer(shared_cluster, path):
    assert shared_cluster.get(path)


def test_status_is_served_too(shared_cluster, traffic):
    served, printed = json.loads(shared_cluster.get("/status")), shared_cluster.status()
    assert served.keys() == printed.keys()
    assert served["received_events"] == printed["received_events"] == traffic.events


# A page of many series


FUNCTIONS = 10_500  # more than a metric shows: 500 of each go into "other"


@pytest.fixture(scope="module")
def crowded(shared_cluster, traffic, contract):
    """The module's cluster once it has more series of a metric than are shown."""
    before = shared_cluster.status()["received_events"]
    stub = contract.services.TracerServiceStub(shared_cluster.channel())
    for start in range(0, FUNCTIONS, 5_250):
        batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE)
        for number in range(start, start + 5_250):
            batch.trace_data.add(
                timestamp=f"1760000100.{number:06d}", event_type=0, cookie=1_000_000 + number,
                function_name=f"crowd::function_{number}", pid=777, tgid=777 + number % 50,
            )
        assert stub.SendTraceBatch(batch, timeout=60).success
    shared_cluster.quiet_status(before + FUNCTIONS)
    return before + FUNCTIONS


def fetch(cluster, **headers):
    request = urllib.request.Request(f"http://{cluster.http}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers, response.read()


def test_more_series_than_are_shown_fold_into_other(shared_cluster, traffic, crowded):
    metrics = shared_cluster.metrics()
    calls = metrics["trace_function_calls_total"]
    assert len(calls) == 10_001
    assert sum(calls.values()) == FUNCTIONS + len(traffic.completed_calls)
    others = tuple((label, "other") for label in ("function", "host", "pid", "process"))
    known = sum(dict(labels)["function"] in ("compute", "helper<int>") for labels in calls)
    assert calls[others] == FUNCTIONS + known - 10_000, "each of them was called once"
    overflow = by_label(metrics["trace_errors_total"], "kind")["series_overflow"]
    assert overflow >= FUNCTIONS - 10_000
    assert metrics["trace_metric_series"][(("metric", "trace_function_calls_total"),)] == 10_001


def test_promtool_reads_a_large_page(shared_cluster, crowded):
    assert not check_metrics(shared_cluster.get("/metrics"))


def test_a_large_page_comes_in_every_form(shared_cluster, crowded):
    plain = fetch(shared_cluster)[1]
    headers, packed = fetch(shared_cluster, **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip" and len(packed) < len(plain) / 4
    names = [
        {line.split("{")[0].split(" ")[0] for line in page.decode().splitlines() if not line.startswith("#")}
        for page in (plain, gzip.decompress(packed))
    ]
    assert names[0] == names[1]
    headers, page = fetch(shared_cluster, Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert page.decode().endswith("# EOF\n")
    assert page.count(b"\ntrace_function_calls_total{") == 10_001


# Series of charts


def series(cluster, query=""):
    return json.loads(cluster.get(f"/api/v1/series{query}"))


def total(answer, name):
    values = next(one["values"] for one in answer["series"] if one["name"] == name)
    return sum(value * answer["step"] for value in values if value is not None)


def test_charts_show_what_each_host_did_and_survive_a_restart(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    # The rate of what comes within the aggregator's first second is not known.
    started = Path(f"/proc/{cluster.status()['aggregator']['pid']}").stat().st_ctime
    wait_until(lambda: time.time() > started + 2, "the first second to pass")
    for _ in range(5):
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
    cluster.quiet_status(traffic.events)
    host = next(dict(labels)["host"] for labels in cluster.metrics()["trace_function_calls_total"])

    begin = int(time.time()) - 600

    def whole():
        answer = series(cluster, f"?step=1&from={begin}")
        return answer if round(total(answer, "events")) >= traffic.events else None

    answer = wait_until(whole, "all events in the chart")
    assert total(answer, "events") == pytest.approx(traffic.events, rel=0.2)
    calls = len(traffic.completed_calls)
    assert total(answer, "function_calls") == pytest.approx(calls, rel=0.2)
    assert total(series(cluster, f"?host={host}&step=1"), "function_calls") == pytest.approx(calls, rel=0.2)
    # A step shows the rate of those of its seconds that have points, so the first one counts for more.
    assert total(series(cluster, f"?host={host}&step=10"), "function_calls") >= 0.8 * calls
    assert total(series(cluster, "?host=another"), "function_calls") == 0
    cluster.run("stop")
    cluster.up()
    again = series(cluster, f"?step=1&from={begin}")
    assert total(again, "events") == pytest.approx(total(answer, "events"))


@pytest.mark.parametrize("query", ["?name=else", "?from=9&to=3", "?step=0", "?pid=7", "?from=1&to=2000000000&step=1"])
def test_a_series_that_there_is_not_is_refused_with_what_there_is(shared_cluster, query):
    with pytest.raises(urllib.error.HTTPError) as refused:
        series(shared_cluster, query)
    assert refused.value.code == 400
    assert refused.value.read().strip()
