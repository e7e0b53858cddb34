"""A replicated log in real NATS servers: what was acknowledged is there, in its order, whatever server or owner dies."""
import itertools
import os
import re
import signal
import subprocess
import time

import grpc
import pytest

from cluster import Cluster, free_port, wait_until
from nats_servers import NATS
from outputs import records
from traffic import RESOURCES, Traffic

BLOCK_BYTES = 64 << 10


@pytest.fixture
def nats(tmp_path):
    servers = NATS(tmp_path / "nats").start()
    yield servers
    servers.stop()


class Owner:
    """A process that owns a log and appends to it; its directory's number stands in each block."""

    def __init__(self, programs, nats, output, directory, megabytes):
        self.output = output
        with open(output, "wb") as stream:
            self.process = subprocess.Popen(
                [programs / "replica-probe", "append", nats.url, "tests", str(directory), str(megabytes)],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            )

    def text(self):
        return self.output.read_text()

    @property
    def safe(self):
        """The number of the block up to which everything is acknowledged."""
        return max(map(int, re.findall(r"^safe (\d+)$", self.text(), re.M)), default=0)

    def wait_beyond(self, safe, seconds=60):
        def has_grown():
            assert self.process.poll() is None, self.text()[-2000:]
            return self.safe > safe

        wait_until(has_grown, f"more than {safe} blocks are acknowledged", seconds)

    def end(self, seconds=120):
        self.process.wait(timeout=seconds)
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()


def blocks(programs, nats):
    """The log's blocks, each with the owner that wrote it."""
    done = subprocess.run(
        [programs / "replica-probe", "read", nats.url, "tests"], capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines() if not line.startswith("waiting")]


@pytest.fixture
def owner(programs, nats, tmp_path):
    owners = []

    def start(directory, megabytes):
        owners.append(Owner(programs, nats, tmp_path / f"owner-{len(owners)}", directory, megabytes))
        return owners[-1]

    yield start
    for one in owners:
        one.kill()


def test_servers_die_one_after_another_and_one_comes_back_empty(programs, nats, owner):
    one = owner(1, 1_000_000)
    one.wait_beyond(0)
    for round_, server in enumerate(nats.servers):
        leader = wait_until(lambda: nats.leader("trace-log-tests"), "the stream has a leader")
        # Its leader first, and then whatever server has not died yet.
        server = leader if round_ == 0 else server
        server.kill()
        one.wait_beyond(one.safe)
        if round_ == 1:
            server.lose_disk()
        server.start()
        nats.wait_current()
        one.wait_beyond(one.safe)
    one.kill()
    safe, found = one.safe, blocks(programs, nats)
    assert [number for number, _ in found] == list(range(len(found)))
    assert {who for _, who in found} == {1}
    assert len(found) >= safe > 0


def test_without_a_quorum_nothing_is_acknowledged_and_then_all_of_it(programs, nats, owner):
    one = owner(1, 200)
    one.wait_beyond(0)
    for server in nats.servers[:2]:
        server.kill()
    # Once it waits for a message to be acknowledged, nothing more is.
    wait_until(lambda: one.text().count("waits"), "the owner waits")
    safe = one.safe
    for server in nats.servers[:2]:
        server.start()
    nats.wait_current()
    assert one.end() == 0, one.text()
    waited = one.text()[one.text().index("waits"):]
    assert int(re.search(r"^safe (\d+)$", waited, re.M)[1]) > safe
    assert [number for number, _ in blocks(programs, nats)] == list(range((200 << 20) // BLOCK_BYTES))


def test_a_new_owner_ends_the_old_one(programs, nats, owner):
    old = owner(1, 1_000_000)
    old.wait_beyond(100)
    old.process.send_signal(signal.SIGSTOP)
    new = owner(2, 50)
    assert new.end() == 0, new.text()
    begin = int(re.search(r"^owner 2 from (\d+)$", new.text(), re.M)[1])
    old.process.send_signal(signal.SIGCONT)
    assert old.end() == 3, old.text()
    assert "fenced" in old.text()
    assert old.safe <= begin
    found = blocks(programs, nats)
    assert found == [(number, 1 if number < begin else 2) for number in range(len(found))]
    assert len(found) == begin + (50 << 20) // BLOCK_BYTES


def test_an_owner_goes_on_where_it_was_killed(programs, nats, owner):
    for _ in range(3):
        one = owner(1, 1_000_000)
        one.wait_beyond(50)
        one.kill()
    found = blocks(programs, nats)
    assert [number for number, _ in found] == list(range(len(found)))
    assert len(found) >= one.safe


def test_the_log_is_trimmed_at_its_begin(programs, nats, owner):
    assert owner(1, 20).end() == 0
    subprocess.run([programs / "replica-probe", "trim", nats.url, "tests", "10"], check=True, timeout=60)
    assert 0 < len(blocks(programs, nats)) < (20 << 20) // BLOCK_BYTES
    one = owner(1, 10)
    assert one.end() == 0, one.text()


def test_servers_that_do_not_sync_are_refused(programs, tmp_path):
    servers = NATS(tmp_path / "nats", sync='sync_interval: "2m"').start()
    try:
        done = subprocess.run(
            [programs / "replica-probe", "read", servers.url, "tests"], capture_output=True, text=True, timeout=60,
        )
        assert done.returncode == 1
        assert "sync_interval: always" in done.stdout
    finally:
        servers.stop()


# ---- A cluster whose log is replicated


@pytest.fixture
def cluster(programs, nats, tmp_path):
    one = Cluster(tmp_path / "data", programs)
    one.up("--log-replica", nats.url)
    yield one
    one.stop(check=False)


def send(cluster, contract, batch):
    """Sends until the batch is taken; returns the errors before."""
    stub, errors = contract.services.TracerServiceStub(cluster.channel()), []
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            assert stub.SendTraceBatch(batch, timeout=40).success
            return errors
        except grpc.RpcError as error:
            errors.append(error)
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
    raise AssertionError(f"not taken: {errors}")


def test_a_cluster_acknowledges_what_a_quorum_has(nats, cluster, contract):
    traffic, sequence = Traffic(contract.messages), itertools.count(1)

    def batch():
        return traffic.batch(client_id="one", sequence=next(sequence))

    assert send(cluster, contract, batch()) == []
    # A server that dies, and an election, is a slow call.
    leader = wait_until(lambda: nats.leader("trace-log-default"), "the stream has a leader")
    leader.kill()
    assert send(cluster, contract, batch()) == []
    other = next(server for server in nats.servers if server is not leader)
    other.kill()
    started, held = time.monotonic(), [batch(), batch()]
    stub = contract.services.TracerServiceStub(cluster.channel())
    for call in [stub.SendTraceBatch.future(one, timeout=60) for one in held]:
        assert call.exception().code() == grpc.StatusCode.RESOURCE_EXHAUSTED, call
        assert "quorum" in call.exception().details()
    assert time.monotonic() - started < 25
    for server in (leader, other):
        server.start()
    # The same batches again count once, although the log has one of them already.
    for one in held:
        send(cluster, contract, one)
    cluster.run("finalize")
    status = cluster.settled_status()
    assert status["written_events"] == traffic.events
    # One batch of the two was in the log when it was refused, and came again; the other one was not.
    again = status["deduplicated_events"] + status["rejected_events"]
    assert status["received_events"] == traffic.events + again and again > 0
    for resource in RESOURCES:
        found = [round(event["ts"]) for event in records(cluster.data, resource)]
        assert sorted(found) == sorted(traffic.sent[resource]), resource


def test_a_router_that_was_killed_goes_on_with_its_replica(nats, cluster, contract):
    traffic = Traffic(contract.messages)
    for sequence in range(1, 6):
        send(cluster, contract, traffic.batch(client_id="one", sequence=sequence))
        os.kill(wait_until(lambda: cluster.supervised_pid("router"), "the router runs"), signal.SIGKILL)
    assert cluster.settled_status()["received_events"] == traffic.events


def test_another_data_directory_is_refused(programs, nats, cluster, contract, tmp_path):
    send(cluster, contract, Traffic(contract.messages).batch())
    done = subprocess.run(
        [programs / "trace-router", "--data", tmp_path / "other", "--grpc", f"127.0.0.1:{free_port()}",
         "--log-replica", nats.url],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "another data directory" in done.stderr
    # It has taken nothing over.
    send(cluster, contract, Traffic(contract.messages, clock_us=1_770_000_000_000_000).batch())
