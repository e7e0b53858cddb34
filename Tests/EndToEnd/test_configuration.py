"""Settings from file, environment and flags: what wins, what is remembered, and what is said where they are wrong."""
import json
import re
import subprocess

import pytest

from cluster import ROOT, Cluster, free_port
from outputs import assert_holds_exactly, json_files
from traffic import Traffic


@pytest.fixture
def configured(tmp_path, programs):
    """A cluster whose configuration file names its addresses; not started."""
    cluster = Cluster(tmp_path / "data", programs)
    cluster.data.mkdir()
    write(cluster)
    yield cluster
    cluster.stop(check=False)


def write(cluster, **settings):
    settings = {"grpc": cluster.grpc, "metrics": cluster.http, **settings}
    (cluster.data / "cluster.json").write_text(json.dumps(settings, indent=1))


def shown(cluster, *flags):
    done = cluster.tracectl("config", "show", "--json", "--data", cluster.data, *flags)
    return {key: (setting["value"], setting["source"]) for key, setting in json.loads(done.stdout).items()}


def workers(cluster, resource):
    return sum(worker["resource"] == resource for worker in cluster.status()["workers"])


def argv(cluster, name):
    return (cluster.data / "run/services" / name / "argv").read_text().splitlines()


def test_a_cluster_runs_as_its_file_says(configured, contract):
    write(configured, workers={"function": 2}, compress="gzip", csv_formula_guard=True, retain_age="7d", time_zone="UTC")
    configured.run("up")
    traffic = Traffic(contract.messages)
    contract.services.TracerServiceStub(configured.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    configured.run("finalize")
    assert_holds_exactly(configured.data, traffic)
    assert all(path.suffix == ".gz" for path in json_files(configured.data))
    assert workers(configured, "function") == 2
    assert "--csv-formula-guard" in argv(configured, "function.1")
    assert argv(configured, "aggregator")[-2:] == ["--retain-age", "7d"]
    assert shown(configured)["workers.function"] == (2, "file")


def test_what_is_taken_out_of_the_file_is_of_no_effect_any_more(configured):
    write(configured, retain_age="7d")
    configured.run("up", "--retain-bytes", "1T")
    configured.stop()
    write(configured)
    assert shown(configured)["retain_age"] == ("off", "default")
    # A flag's is remembered, and the file wins over it.
    assert shown(configured)["retain_bytes"] == ("1T", "remembered")
    write(configured, retain_bytes="2T")
    assert shown(configured)["retain_bytes"] == ("2T", "file")
    configured.run("up")
    assert argv(configured, "aggregator")[-2:] == ["--retain-bytes", "2T"]


def test_a_scale_that_the_file_will_undo_says_so(configured):
    write(configured, workers={"cpu": 1})
    configured.run("up", "--csv-formula-guard")
    assert "next up" not in configured.run("scale", "io=2").stderr
    assert "--csv-formula-guard" in argv(configured, "io.1")
    said = configured.run("scale", "cpu=2").stderr
    assert "The next up scales to function=1,cpu=1,memory=1,network=1,io=2,gpu=1" in said
    configured.stop()
    configured.run("up")
    assert (workers(configured, "cpu"), workers(configured, "io")) == (1, 2)


def test_environment_and_flags_win_over_the_file(configured):
    write(configured, retain_age="7d", workers={"function": 4})
    configured.environment |= {"METRICS_PORT": str(free_port()), "RETAIN_AGE": "8d"}
    grpc = f"127.0.0.1:{free_port()}"
    configured.run("up", "--workers", "function=2", f"--grpc={grpc}")
    assert argv(configured, "aggregator")[-2:] == ["--retain-age", "8d"]
    assert f"127.0.0.1:{configured.environment['METRICS_PORT']}" in argv(configured, "aggregator")
    assert grpc in argv(configured, "router")
    assert workers(configured, "function") == 2


def test_a_file_elsewhere_is_remembered(configured, tmp_path):
    elsewhere = tmp_path / "elsewhere.json"
    (configured.data / "cluster.json").rename(elsewhere)
    configured.run("up", "--config", elsewhere)
    configured.stop()
    assert shown(configured)["config"] == (str(elsewhere), "remembered")
    assert shown(configured)["grpc"] == (configured.grpc, "file")


def test_a_wrong_file_is_refused_with_every_line(configured):
    (configured.data / "cluster.json").write_text('{\n"grpc": "nowhere",\n"compress": "rar",\n"colour": 1\n}')
    for done in (
        configured.run("up", check=False),
        configured.tracectl("config", "check", "--data", configured.data, check=False),
        configured.tracectl("config", "check", configured.data / "cluster.json", check=False),
    ):
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        fields = [f"cluster.json:{line}: {field} " for line, field in ((2, "grpc"), (3, "compress"), (4, "colour"))]
        assert len(errors) == 3 and all(field in error for field, error in zip(fields, errors))
    assert not configured.processes()
    write(configured)
    assert configured.tracectl("config", "check", "--data", configured.data).returncode == 0


def test_show_says_where_a_value_comes_from(configured):
    said = configured.tracectl("config", "show", "--data", configured.data, "--workers", "gpu=3").stdout
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert rows["grpc"] == [configured.grpc, f"{configured.data}/cluster.json:2"]
    assert rows["workers.gpu"] == ["3", "--workers"]
    assert rows["compress"] == ["off", "default"]
    wrong = configured.tracectl("config", "show", "--data", configured.data, "--colour", "red", check=False)
    assert wrong.returncode == 2 and "--colour" in wrong.stderr


def test_every_help_teaches_every_option(programs):
    flags = set(re.findall("`(--[a-z-]+)", (ROOT / "deploy/CONFIGURATION.md").read_text(encoding="utf-8")))
    assert {"--grpc", "--config", "--csv-formula-guard"} <= flags
    assert all(f"`{flag}" in (ROOT / "deploy/OPERATING.md").read_text(encoding="utf-8") for flag in flags)
    script = subprocess.run([ROOT / "scripts/cluster", "--help"], capture_output=True, text=True).stdout
    assert all(f"  {flag}" in script for flag in flags)
    readers = {"router": set(), "worker": set(), "aggregator": set(), "console": set()}
    for name, told in readers.items():
        text = subprocess.run([programs / f"trace-{name}", "--help"], capture_output=True, text=True).stdout
        told.update(flag for flag in flags if f"  {flag} " in text or f"  {flag}\n" in text)
    text = subprocess.run([programs / "tracectl", "edge", "run", "--help"], capture_output=True, text=True).stdout
    readers["edge"] = {flag for flag in flags if f"  {flag} " in text}
    # These are the cluster's commands' own.
    assert flags - set.union(*readers.values()) == {"--config", "--timeout"}
