"""Which worker has how much of its resource's load."""
import pytest

from cluster import wait_until
from traffic import Traffic


@pytest.mark.parametrize("cluster", [["--workers", "function=2"]], indirect=True)
def test_a_worker_with_all_the_load_stands_out(cluster, contract):
    """One process always stays with one worker."""
    traffic = Traffic(contract.messages, processes=(4001,))
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(
        traffic.batch(rounds=50, resources=("function",)), timeout=30
    )

    def skew():
        workers = [worker for worker in cluster.status()["workers"] if worker["resource"] == "function"]
        return {worker["name"]: worker["skew_ratio"] for worker in workers if "skew_ratio" in worker}

    found = wait_until(lambda: skew() if len(skew()) == 2 else None, "a ratio of both workers")
    assert sorted(found.values()) == [0, 2]
    (busy,) = (name for name, ratio in found.items() if ratio)
    text = cluster.tracectl("slots", "--data", str(cluster.data)).stdout
    assert "SKEW" in text and any(line.split()[:1] == [busy] and "2.00" in line.split() for line in text.splitlines())
    assert "2.00" in cluster.run("status").stdout
    applied = cluster.metrics()["trace_worker_applied_events_total"]
    assert applied[("worker", busy),] == 200 and cluster.metrics()["trace_worker_skew_ratio"][("worker", busy),] == 2
