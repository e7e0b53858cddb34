"""A replicated log in real NATS servers: what was acknowledged is there, in its order, whatever server or owner dies."""
import re
import signal
import subprocess

import pytest

from cluster import wait_until
from nats_servers import NATS

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
