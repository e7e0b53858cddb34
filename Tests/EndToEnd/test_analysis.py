"""deploy/ANALYSIS.md: each of its blocks runs as it stands there, over results in an S3 store."""
import math
import re

import pytest

from cluster import ROOT, Cluster, wait_until
from object_store import ObjectStore, use
from traffic import RESOURCES, Traffic

PAGE = (ROOT / "deploy/ANALYSIS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def answers(tmp_path_factory, programs, contract):
    """What each block answers, and what was sent: two windows of all resources, and a slow operation."""
    directory = tmp_path_factory.mktemp("analysis")
    store = ObjectStore(directory / "s3").start()
    cluster = Cluster(directory / "data", programs)
    try:
        place = store.make_bucket("results") + "/production"
        use(cluster, store)
        cluster.up("--object-store", place)
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        for _ in range(2):
            batch = traffic.batch(rounds=60, host="web-1")
            slow = batch.io_trace_data[0]
            slow.latency_ms = 500
            assert stub.SendTraceBatch(batch, timeout=30).success
            cluster.run("finalize")
        wait_until(lambda: len(store.keys("results", "production/default/windows/")) == 2 * len(RESOURCES), "uploaded", 60)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**store.environment, "RESULTS": place}.items():
                patch.setenv(name, value)
            names = {}
            found = []
            for block in BLOCKS:
                names.pop("answer", None)
                exec(compile(block, "deploy/ANALYSIS.md", "exec"), names)
                found.append(names.get("answer"))
        yield found[1:], traffic
    finally:
        cluster.stop(check=False)
        store.stop()


def test_there_are_ten_questions(answers):
    found, _ = answers
    assert len(found) == 10 == len(re.findall(r"^### \d+\. ", PAGE, re.MULTILINE))
    assert all(answer is not None and len(answer) > 0 for answer in found)


def test_answers_are_those_of_what_was_sent(answers):
    found, traffic = answers
    functions, distribution, seconds, cpu, devices, peers, memory, findings, shares, windows = found
    calls = len(traffic.completed_calls)
    assert dict(zip(functions["Function"], functions["calls"])) == {"compute": calls // 2, "helper<int>": calls // 2}
    # Events are a millisecond apart: an outer call has three of them, an inner one has one.
    assert functions["Function"][0] == "compute" and functions["longest_us"][0] == 3000
    assert set(distribution["calls"]) == {calls // 6} and distribution["p50_p95_p99_us"][0][0] == 3000
    assert 0 < len(seconds) <= 1000 and set(seconds["host"]) == {"web-1"}
    assert set(cpu["PID"]) == {4001, 4002, 4003} and set(cpu["CPU Utilization(%)"]) == {42.25}
    assert devices["operations"].sum() == len(traffic.sent["io"]) and devices["Device"][0] == 'sd"a\\1'
    assert peers["sent"].sum() == 1500 * len(traffic.sent["network"]) and set(peers["peer"]) == {"[fe80::2]"}
    assert len(memory) == 3
    assert "slow_io" in set(findings["rule"]) and 0 < findings["worst"][0] <= 1
    assert math.isfinite(shares["share"][0]) and shares["share"][0] > 0
    assert len(windows) == 2 * len(RESOURCES)
    assert windows["events"].sum() == traffic.events
