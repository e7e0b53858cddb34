"""deploy/prometheus and deploy/grafana against a real cluster, scraped by a real Prometheus server."""
import itertools
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import grpc
import pytest

from cluster import ROOT, wait_until
from monitoring import Prometheus, tool
from traffic import Traffic

CONFIGURATION = ROOT / "deploy/prometheus"
RULE_FILES = ("recording.rules.yml", "alerting.rules.yml")
DASHBOARD = json.loads((ROOT / "deploy/grafana/trace-processor.json").read_text(encoding="utf-8"))
# Grafana's names for the units in use.
UNITS = {
    "none", "short", "s", "bytes", "Bps", "percentunit", "eps", "cps", "cpm", "ops", "iops", "pps", "reqps",
}


def promtool(*arguments):
    done = subprocess.run([tool("promtool"), *arguments], cwd=CONFIGURATION, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def rules_text():
    return "".join((CONFIGURATION / name).read_text(encoding="utf-8") for name in RULE_FILES)


def metric_names(expression):
    """The names of metrics in a PromQL expression: ours have a prefix that no label or function has."""
    bare = re.sub(r'"[^"]*"', "", expression)
    names = {name for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare) if name.startswith("trace_") or ":" in name}
    # A variable's query names several at once.
    for prefix, choices in re.findall(r'__name__=~"(\w*)\(([^)]*)\)"', expression):
        names |= {prefix + choice for choice in choices.split("|")}
    return names


def anomalous(messages, clock_us=1_760_500_000_000_000):
    """A batch in which each of a few rules finds something, and an exit lacks its entry."""
    batch = messages.TraceBatch(host="elsewhere", semantics=messages.CUMULATIVE)

    def stamp(offset_ms):
        at = clock_us + offset_ms * 1000
        return f"{at // 1_000_000}.{at % 1_000_000:06d}"

    for kind, cookie, at in ((0, 1, 0), (1, 1, 900), (1, 2, 950)):
        batch.trace_data.add(
            timestamp=stamp(at), event_type=kind, cookie=cookie, function_name="slow", pid=501, tgid=500
        )
    batch.memory_trace_data.add(
        timestamp=stamp(0), pid=501, tgid=500, comm="hungry", operation="alloc", size=1 << 28, addr=4096
    )
    batch.io_trace_data.add(
        timestamp=stamp(0), pid=500, comm="hungry", operation="WRITE", bytes=512, latency_ms=900, write_ops=1
    )
    return batch


@pytest.fixture(scope="module")
def monitored(shared_cluster, contract, tmp_path_factory):
    """The module's cluster after all kinds of traffic, and a Prometheus that has deploy/'s configuration."""
    stub = contract.services.TracerServiceStub(shared_cluster.channel())
    traffic = Traffic(contract.messages)
    for number in range(1, 6):
        assert stub.SendTraceBatch(traffic.batch(client_id="agent", sequence=number), timeout=30).success
    assert stub.SendTraceBatch(anomalous(contract.messages), timeout=30).success
    with pytest.raises(grpc.RpcError):
        stub.SendTraceBatch(contract.messages.TraceBatch(client_id="sequence is missing", semantics=contract.messages.CUMULATIVE), timeout=30)
    shared_cluster.run("finalize")

    directory = tmp_path_factory.mktemp("prometheus")
    for name in RULE_FILES:
        shutil.copy(CONFIGURATION / name, directory)
    text = (CONFIGURATION / "prometheus.yml").read_text(encoding="utf-8")
    assert "127.0.0.1:9091" in text and "interval: 15s" in text
    text = text.replace("127.0.0.1:9091", shared_cluster.http).replace("interval: 15s", "interval: 1s")
    (directory / "prometheus.yml").write_text(text, encoding="utf-8")
    with Prometheus(directory) as prometheus:
        scrapes = 'min(count_over_time(up{job=~"trace|neutracer"}[5m]))'
        wait_until(lambda: (prometheus.query(scrapes) or [({}, 0)])[0][1] >= 3, "three scrapes of each job")
        served = set(shared_cluster.metrics())
        recorded = set(re.findall(r"record: (\S+)", rules_text()))
        yield SimpleNamespace(cluster=shared_cluster, prometheus=prometheus, names=served | recorded)


# Prometheus


def test_promtool_takes_configuration_and_rules():
    promtool("check", "config", "prometheus.yml", "cells.yml")
    promtool("check", "rules", *RULE_FILES)


def test_every_rule_does_what_its_tests_say():
    promtool("test", "rules", "rules.test.yml")
    tests = (CONFIGURATION / "rules.test.yml").read_text(encoding="utf-8")
    alerts = re.findall(r"alert: (\S+)", rules_text())
    assert alerts and not [name for name in alerts if f'"{name}"' not in tests]


# Served where there is an object store: test_object_store.py.
WITH_OBJECT_STORE = {"trace_object_store_oldest_waiting_seconds"}


def test_every_rule_is_evaluated_over_metrics_that_are_served(monitored):
    def groups():
        groups = monitored.prometheus.api("rules")["groups"]
        return groups if all(rule["health"] != "unknown" for group in groups for rule in group["rules"]) else None

    rules = [rule for group in wait_until(groups, "every rule evaluated") for rule in group["rules"]]
    assert len(rules) == len(re.findall(r"- (?:alert|record): ", rules_text()))
    assert not [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    served = monitored.names | WITH_OBJECT_STORE
    missing = {rule["name"]: metric_names(rule["query"]) - served for rule in rules}
    assert not {name: metrics for name, metrics in missing.items() if metrics}


def test_nothing_is_stored_twice(monitored):
    for name, job in {"trace_events_total": "trace", "neutracer_traces_total": "neutracer"}.items():
        assert {labels["job"] for labels, _ in monitored.prometheus.query(name)} == {job}


def test_recorded_series_come(monitored):
    for name in re.findall(r"record: (\S+)", rules_text()):
        wait_until(lambda: monitored.prometheus.query(name), f"a series of {name}")


def test_the_alerts_of_what_was_planted_are_raised(monitored):
    """And no others but those that depend on the machine's disk."""
    planted = {
        "TraceAnomaly",  # slow_call, large_allocation, slow_io
        "TraceBadBatches",  # without a sequence
    }
    machine = {"TraceDiskFull", "TraceDiskFilling", "TraceFsyncSlow", "TraceAcknowledgementSlow", "TraceLogLarge"}

    def active():
        return {labels["alertname"] for labels, _ in monitored.prometheus.query("ALERTS")} - machine

    wait_until(lambda: active() >= planted, f"alerts {planted}")
    assert active() == planted


@pytest.mark.parametrize(("label", "metric"), [("kind", "trace_errors_total"), ("reason", None), ("rule", None)])
def test_what_rules_single_out_exists(monitored, label, metric):
    named = {
        value for values in re.findall(label + r'!?=~?"([^"]*)"', rules_text()) for value in values.split("|")
    }
    if metric:
        known = {dict(labels)[label] for labels in monitored.cluster.metrics()[metric]}
    else:
        source = {
            "reason": [
                "Sources/Model/TraceModel/TraceError.swift",
                "Sources/Transport/GRPCTransport/GRPCServerHandler.swift",
                "Sources/Roles/RouterRole/Admission/AdmissionGate.swift",
                "Sources/Roles/RouterRole/Commit/CommitPlan.swift",
            ],
            "rule": ["Sources/Processing/AnomalyRules/RuleID.swift"],
        }[label]
        known = set(re.findall(r'(?:case |")(\w+)', "".join((ROOT / path).read_text() for path in source)))
    assert named and not named - known


# Grafana


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def resolved(expression):
    """As Grafana sends it with `All` chosen everywhere."""
    for name, value in {
        "__rate_interval": "1m", "__range": "5m", "instance": ".*", "host": ".*", "process": ".*",
    }.items():
        expression = expression.replace(f"${name}", value)
    assert "$" not in expression, f"an unknown variable: {expression}"
    return expression


@pytest.mark.parametrize(
    "panel", [pytest.param(panel, id=f"{panel['id']}-{panel['title']}") for panel in panels()]
)
def test_every_query_of_a_panel_finds_series(monitored, panel):
    for target in panel["targets"]:
        assert not metric_names(target["expr"]) - monitored.names
        series = monitored.prometheus.query(resolved(target["expr"]))
        assert series, target["expr"]
        # What the legend shows has to be there.
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert all(label in labels for labels, _ in series), f"{label}: {target['expr']}"


@pytest.mark.parametrize("name", ["instance", "host", "process"])
def test_variables_have_values(monitored, name):
    (variable,) = (entry for entry in DASHBOARD["templating"]["list"] if entry["name"] == name)
    query = variable["query"]["query"]
    selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
    assert label == name and not metric_names(query) - monitored.names
    values = monitored.prometheus.api(f"label/{label}/values", **{"match[]": resolved(selector)})
    expected = {
        "instance": {monitored.cluster.http}, "host": {"elsewhere"}, "process": {"crunch", "pid-4001", "hungry"},
    }
    assert expected[name] <= set(values)


def test_a_variable_narrows(monitored):
    expression = next(panel for panel in panels() if panel["title"] == "Utilization")["targets"][0]["expr"]
    assert monitored.prometheus.query(resolved(expression.replace("$process", "crunch")))
    assert not monitored.prometheus.query(resolved(expression.replace("$process", "nobody")))


def test_annotations_are_queries(monitored):
    for annotation in DASHBOARD["annotations"]["list"]:
        monitored.prometheus.query(resolved(annotation["expr"]))


def test_the_dashboard_is_in_order():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(titles) == len(set(titles))
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        for source in [panel, *panel["targets"]]:
            assert source["datasource"]["uid"] == "${datasource}", panel["title"]
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
