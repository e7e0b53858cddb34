"""More hosts than a worker remembers, and names that were made to fall together: nothing wedges, and nothing is missing."""
import collections
import os
import stat
import threading
import time

from cluster import wait_until
from outputs import json_files, trace_events
from traffic import Traffic

HOSTS = 20_000
CLOCK_US = 1_760_000_000_000_000


def function_batch(messages, host, number, events=1):
    batch = messages.TraceBatch(host=host, semantics=messages.CUMULATIVE)
    for event in range(events):
        clock = CLOCK_US + number * 1_000 + event
        batch.trace_data.add(
            timestamp=f"{clock // 1_000_000}.{clock % 1_000_000:06d}", event_type=0, cookie=number, function_name="main",
            pid=7, tgid=7,
        )
    return batch


def test_twenty_thousand_hosts_cost_no_event_and_no_worker(cluster, contract):
    """Each host sends twice, the second time after thousands of others; a good agent goes on beside them."""
    channel = cluster.channel()
    stub = contract.services.TracerServiceStub(channel)
    pids = {worker["name"]: worker["pid"] for worker in cluster.status()["workers"]}
    good = Traffic(contract.messages, clock_us=CLOCK_US + 3_600_000_000)
    waited = []
    failures = []
    stop = threading.Event()

    def agent():
        own = contract.services.TracerServiceStub(cluster.channel())
        try:
            while not stop.wait(0.05):
                began = time.monotonic()
                assert own.SendTraceBatch(good.batch(rounds=1, host="good"), timeout=30).success
                waited.append(time.monotonic() - began)
        except Exception as error:  # what ends the thread is what the test is about
            failures.append(error)

    thread = threading.Thread(target=agent)
    thread.start()
    sent = 0
    try:
        calls = collections.deque()
        for round_ in range(2):
            for number in range(HOSTS):
                batch = function_batch(contract.messages, f"host-{number}", round_ * HOSTS + number)
                calls.append(stub.SendTraceBatch.future(batch, timeout=60))
                sent += 1
                while len(calls) > 256:
                    assert calls.popleft().result().success
        for call in calls:
            assert call.result().success
    finally:
        stop.set()
        thread.join(60)
    assert not failures, failures
    status = cluster.settled_status(seconds=180)
    events = sent + good.events
    assert status["received_events"] == status["written_events"] == events
    assert status["dead_lettered_events"] == status["rejected_events"] == 0
    assert {worker["name"]: worker["pid"] for worker in status["workers"]} == pids, "a worker has ended"
    waited.sort()
    assert waited[len(waited) * 99 // 100] < 5, waited[-10:]
    losses = cluster.metrics()["trace_errors_total"]
    evicted = sum(value for labels, value in losses.items() if ("kind", "host_evicted") in labels)
    # What a worker remembers is 16,384; those that gave way came again.
    assert evicted >= HOSTS - 16_384, losses
    cluster.run("finalize", seconds=300)
    written = collections.Counter()
    for path in json_files(cluster.data, "function"):
        written[path.name.rpartition("_")[2].removesuffix(".json")] += sum(
            1 for event in trace_events(path) if event.get("cat") == "function"
        )
    # Its 20,000 hosts twice, and the good one.
    assert sum(written.values()) == sent + len(good.sent["function"])
    assert all(written[f"host-{number}"] == 2 for number in range(HOSTS))


def test_the_secret_is_the_clusters_alone(cluster, contract):
    """Drawn once, kept over restarts; drawn anew, and that is said, where no copy of it is sound."""
    path, mirror = cluster.data / "secret", cluster.data / "secret.mirror"
    secret = path.read_bytes()
    assert len(secret) == 20 and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    stub = contract.services.TracerServiceStub(cluster.channel())
    assert stub.SendTraceBatch(function_batch(contract.messages, "a", 1, events=20), timeout=30).success
    cluster.quiet_status(20)
    cluster.stop()
    # A directory of a version that had none, or whose secret was removed.
    path.unlink()
    mirror.unlink()
    cluster.up()
    assert len(path.read_bytes()) == 20 and path.read_bytes() != secret
    stub = contract.services.TracerServiceStub(cluster.channel())
    assert stub.SendTraceBatch(function_batch(contract.messages, "a", 2, events=20), timeout=30).success
    cluster.quiet_status(40)
    cluster.stop()
    whole = path.read_bytes()
    path.write_bytes(b"short")
    cluster.up()
    assert path.read_bytes() == whole and "secret was damaged" in cluster.logs()
    cluster.stop()
    path.write_bytes(b"short")
    mirror.write_bytes(b"short")
    cluster.up()
    assert path.read_bytes() == mirror.read_bytes() != whole
    wait_until(lambda: cluster.status()["ready"], "the cluster is ready again")


def test_hosts_whose_file_names_would_fall_together_keep_their_events(cluster, contract):
    stub = contract.services.TracerServiceStub(cluster.channel())
    hosts = ["x y", "x_y-beccb1197f2b3af4", "x_y", "2", "2_web", "web", "e\u0301", "\u00e9"]
    sent = 0
    for round_ in range(2):
        for number, host in enumerate(hosts):
            batch = function_batch(contract.messages, host, 100 * round_ + number, events=50)
            assert stub.SendTraceBatch(batch, timeout=30).success
            sent += 50
        assert stub.SendTraceBatch(function_batch(contract.messages, "", 900 + round_, events=50), timeout=30).success
        sent += 50
        # Two windows, of one second as a rule.
        cluster.quiet_status(sent)
        cluster.run("finalize")
    files = json_files(cluster.data, "function")
    assert len(files) == 2 * (len(hosts) + 1), files
    events = [event for path in files for event in trace_events(path)]
    begun = [event for event in events if event.get("cat") == "function" and event["ph"] == "B"]
    assert len(begun) == sent
