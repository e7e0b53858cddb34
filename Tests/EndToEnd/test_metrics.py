"""/metrics, as promtool and a real Prometheus server read it."""
import json
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest

from cluster import free_port, wait_until
from traffic import RESOURCES, Traffic


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on the PATH; scripts/test brings it")
    return path


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


@pytest.mark.parametrize("path", ["/metrics", "/metrics/neutracer"])
def test_promtool_finds_nothing(shared_cluster, traffic, path):
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=shared_cluster.get(path), capture_output=True, text=True
    )
    complaints = done.stdout + done.stderr
    if path == "/metrics":
        assert done.returncode == 0, complaints
    else:
        # The original's names break the naming rules (3 is what promtool ends with then), not the format.
        assert done.returncode in (0, 3), complaints


def test_openmetrics_is_served_to_those_who_ask(shared_cluster, traffic):
    text = shared_cluster.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert text.rstrip().endswith("# EOF")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    names = {family.name for family in text_string_to_metric_families(text)}
    assert "trace_events" in names


def test_a_prometheus_server_scrapes_it(shared_cluster, traffic, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(json.dumps({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "trace", "static_configs": [{"targets": [shared_cluster.http]}]}],
    }))  # YAML takes JSON
    server = subprocess.Popen(
        [tool("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.listen-address={address}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        def query(expression):
            url = f"http://{address}/api/v1/query?query={urllib.parse.quote(expression)}"
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    result = json.load(response)["data"]["result"]
            except OSError:
                return None  # not up yet
            return float(result[0]["value"][1]) if result else None

        wait_until(lambda: query('up{job="trace"}') == 1, "a successful scrape")
        wait_until(lambda: query("sum(trace_events_total)") == traffic.events, "every event in Prometheus")
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_pages_answer(shared_cluster, path):
    assert shared_cluster.get(path)


def test_status_is_served_too(shared_cluster, traffic):
    served, printed = json.loads(shared_cluster.get("/status")), shared_cluster.status()
    assert served.keys() == printed.keys()
    assert served["received_events"] == printed["received_events"] == traffic.events
