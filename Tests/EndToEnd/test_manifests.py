"""deploy/kubernetes and deploy/docker/compose.yaml: by the schemas of those who read them, and against the image."""
import re
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from cluster import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
COMPOSE = ROOT / "deploy/docker/compose.yaml"
KUBERNETES_VERSION = "1.31"  # the oldest one of which clusters are usual


def documents():
    """{(kind, name): manifest} of all files; kustomization.yaml is no manifest."""
    files = sorted(set(KUBERNETES.glob("*.yaml")) - {KUBERNETES / "kustomization.yaml"})
    manifests = [manifest for file in files for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}


def image():
    """{instruction: its last line} of the Dockerfile's last stage."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    return dict(line.split(None, 1) for line in text.splitlines() if re.match("(USER|VOLUME|EXPOSE) ", line))


STATEFUL_SET = ("StatefulSet", "trace-processor")


@pytest.fixture
def pod():
    return documents()[STATEFUL_SET]["spec"]["template"]


@pytest.mark.parametrize("key", [key for key in documents() if key[0] != "ServiceMonitor"], ids="-".join)
def test_kubernetes_takes_the_manifests(key):
    kubernetes_validate.validate(documents()[key], KUBERNETES_VERSION, strict=True)


def test_what_kubernetes_would_refuse_is_found():
    manifest = documents()[STATEFUL_SET]
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)


def compose_schema(file):
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file], capture_output=True, text=True
    )


def test_compose_takes_the_file(tmp_path):
    done = compose_schema(COMPOSE)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("stop_grace_period", "stop_grace_time"), encoding="utf-8")
    assert compose_schema(wrong).returncode == 1


def test_every_manifest_is_applied_but_for_what_an_operator_reads():
    kustomization = (KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8")
    files = {file.name for file in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(yaml.safe_load(kustomization)["resources"]) == files - {"service-monitor.yaml"}


def test_everything_selects_the_pods_and_names_their_ports(pod):
    manifests = documents()
    labels = pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for (kind, name), manifest in manifests.items():
        selector = manifest["spec"]["selector"]
        selected = manifests[("Service", "trace-processor")]["metadata"]["labels"] if kind == "ServiceMonitor" else labels
        assert selector.get("matchLabels", selector).items() <= selected.items(), (kind, name)
        if kind == "Service":
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= ports
    monitor = manifests[("ServiceMonitor", "trace-processor")]["spec"]
    # A Service without labels is not found by the ServiceMonitor, whose port would not be there.
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ["metrics"]
    assert "labels" not in manifests[("Service", "trace-processor-pods")]["metadata"]
    assert manifests[STATEFUL_SET]["spec"]["serviceName"] == "trace-processor-pods"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


def test_the_monitors_job_is_that_of_the_rules():
    scraping = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    own = next(job for job in scraping["scrape_configs"] if job["job_name"] == "trace")
    (endpoint,) = documents()[("ServiceMonitor", "trace-processor")]["spec"]["endpoints"]
    assert endpoint["params"] == own["params"]
    assert {"targetLabel": "job", "replacement": "trace"} in endpoint["relabelings"]


def test_user_volume_and_ports_are_those_of_the_image(pod):
    steps = image()
    (container,) = pod["spec"]["containers"]
    security = pod["spec"]["securityContext"]
    assert steps["USER"] == f"{security['runAsUser']}:{security['runAsGroup']}" and security["fsGroup"] == security["runAsGroup"]
    exposed = set(map(int, steps["EXPOSE"].split()))
    assert {port["containerPort"] for port in container["ports"]} == exposed
    assert steps["VOLUME"] in [mount["mountPath"] for mount in container["volumeMounts"]]
    service = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["cluster"]
    assert {int(port.rpartition(":")[2]) for port in service["ports"]} == exposed
    assert service["volumes"] == [f"data:{steps['VOLUME']}"]
    assert service["image"] == container["image"]


def test_a_stop_has_the_time_that_the_units_give_it(pod):
    (seconds,) = re.findall("^TimeoutStopSec=(.*)$", (ROOT / "deploy/systemd/trace-router.service").read_text(), re.MULTILINE)
    assert pod["spec"]["terminationGracePeriodSeconds"] == int(seconds)
    assert yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["cluster"]["stop_grace_period"] == f"{int(seconds) // 60}m"
