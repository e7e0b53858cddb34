"""Attacks on HAProxy in front of a cluster: what they cost it, the router behind it, and an agent that means well.

Each lasts a few seconds and comes from other loopback addresses than the agent's, and from a process of its own. `pytest -s`
prints the figures of the table in SECURITY.md.
"""
import contextlib
import multiprocessing
import os
import pathlib
import ssl
import threading
import time

import grpc
import pytest

from certificates import Authority
from cluster import wait_until
from hostile import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, STATUS, RawClient, call_headers, frame,
    literal, message_head,
)
from test_edge import SEND, Client, haproxy_pid, running
from traffic import Traffic

SECONDS = 4
MEMORY_GROWTH_MAX = 200 << 20
EDGE_MEMORY_MAX = 512 << 20


@pytest.fixture(scope="module")
def attacked(tmp_path_factory, programs):
    directory = tmp_path_factory.mktemp("attacked")
    authority = Authority(directory / "ca")
    certificate, key = authority.issue("server", "localhost")
    with running(directory / "data", programs, "--tls-cert", certificate, "--tls-key", key) as cluster:
        cluster.authority = authority
        yield cluster


def resident(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))


class Attack:
    """Opens connections to the edge and ends them all."""

    def __init__(self, address, certificate, deadline):
        self.address, self.deadline = address, deadline
        self.context = ssl.create_default_context(cafile=certificate)
        self.context.set_alpn_protocols(["h2"])
        self.clients = []
        self.refused = 0
        self.pieces = 0

    @property
    def is_on(self):
        return time.monotonic() < self.deadline

    def client(self, source="127.0.0.2", settings=b""):
        try:
            client = RawClient(self.address, context=self.context, source=source, settings=settings)
        except OSError:
            self.refused += 1
            return None
        self.clients.append(client)
        return client

    def flood(self, piece, connections=4):
        """Sends pieces, made of the number of the round, on few connections, each again when it is closed."""

        def one():
            number = 0
            client = self.client()
            while self.is_on:
                if client is None:
                    time.sleep(0.01)
                    client, number = self.client(), 0
                    continue
                try:
                    client.socket.settimeout(1)
                    client.send(b"".join(piece(number + more) for more in range(50)))
                    number += 50
                    self.pieces += 50
                except OSError:
                    client.close()
                    client = None

        threads = [threading.Thread(target=one) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self):
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.close()


def rapid_reset(attack):
    head = call_headers(SEND)
    attack.flood(lambda number: frame(HEADERS, END_HEADERS, 2 * number + 1, head)
                 + frame(RST_STREAM, 0, 2 * number + 1, b"\0\0\0\x08"))


def resets_of_whole_calls(attack):
    """As above, with all of a call's message before the reset."""
    head = call_headers(STATUS)
    attack.flood(lambda number: frame(HEADERS, END_HEADERS, 2 * number + 1, head)
                 + frame(DATA, END_STREAM, 2 * number + 1, message_head(0))
                 + frame(RST_STREAM, 0, 2 * number + 1, b"\0\0\0\x08"))


def continuations(attack):
    piece = literal("x", "y" * 100) * 50
    attack.flood(lambda number: frame(HEADERS if number == 0 else CONTINUATION, 0, 1,
                                      call_headers(SEND) if number == 0 else piece))


def hpack_bomb(attack):
    """One field of 3,000 bytes, entered into the table, is named by a byte each time."""
    value = b"z" * 3000
    length = len(value) - 127
    field = b"\x40\x01x\x7f" + bytes([length & 0x7F | 0x80, length >> 7]) + value
    attack.flood(lambda number: frame(HEADERS, END_HEADERS, 2 * number + 1,
                                      call_headers(SEND) + field + b"\xbe" * 8_000))


def pings(attack):
    attack.flood(lambda number: frame(PING, 0, 0, number.to_bytes(8, "big")))


def settings(attack):
    attack.flood(lambda number: frame(SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff"))


def idle_connections(attack):
    """2,000, of two addresses."""
    for number in range(2_000):
        if not attack.is_on and number > 1_500:
            break
        attack.client(source=f"127.0.0.{2 + number % 2}")


def too_many_connections(attack):
    """1,500 of one address, which gets 1,024."""
    begin = time.monotonic()
    for _ in range(1_500):
        attack.client()
    # The first ones are closed after ten seconds without a request.
    assert attack.refused > 300 or time.monotonic() - begin > 8


def slow_uploads(attack):
    """100 messages of a megabyte each, of which a byte comes ten times a second."""
    uploads = []
    for _ in range(100):
        client = attack.client()
        if client:
            stream = client.open(SEND)
            client.data(stream, message_head(1 << 20))
            uploads.append((client, stream))
    while attack.is_on:
        for client, stream in uploads:
            with contextlib.suppress(OSError):
                client.data(stream, b"\x0a")
        time.sleep(0.1)


def slow_readers(attack):
    """Calls that are answered, on connections whose window has no room for it."""
    no_room = b"\0\x04\0\0\0\0"
    for _ in range(100):
        client = attack.client(settings=no_room)
        # Its address may be dropped meanwhile, as for calls that are broken off.
        with contextlib.suppress(OSError):
            for _ in range(90):
                if client and attack.is_on:
                    stream = client.open(STATUS)
                    client.data(stream, message_head(0), 1)
    while attack.is_on:
        time.sleep(0.1)


class Agent:
    """Sends a batch a hundred times a second, and measures how long each takes."""

    def __init__(self, cluster, contract):
        self.client = Client(cluster, cluster.authority)
        self.batch = Traffic(contract.messages).batch(10).SerializeToString()
        self.milliseconds, self.failures = [], []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        call = self.client.channel.unary_unary(SEND)
        while not self.stop.is_set():
            begin = time.monotonic()
            try:
                call(self.batch, timeout=30)
            except grpc.RpcError as error:
                self.failures.append((error.code(), error.details()))
            self.milliseconds.append((time.monotonic() - begin) * 1e3)
            time.sleep(max(0, 0.01 - (time.monotonic() - begin)))

    def figures(self):
        ordered = sorted(self.milliseconds)
        self.milliseconds.clear()
        return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]


ATTACKS = (
    rapid_reset, resets_of_whole_calls, continuations, hpack_bomb, pings, settings, idle_connections, too_many_connections,
    slow_uploads, slow_readers,
)


def attacker(attack, address, certificate, connection):
    """Makes an attack, at a word from the other end, and stays connected until the next. Threads of one Python process run one
    at a time, so that here the agent would mostly measure how long its own take turns."""
    # It stands for other machines, and is to leave the processor to what is attacked.
    os.nice(10)
    connection.send("ready")
    connection.recv()
    made = Attack(address, certificate, time.monotonic() + SECONDS)
    try:
        attack(made)
        connection.send(f"{len(made.clients)} connections, {made.refused} refused, {made.pieces} pieces")
        connection.recv()
    finally:
        made.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_costs_others_little(attacked, contract, attack):
    edge, router = haproxy_pid(attacked), attacked.supervised_pid("router")
    aggregator = attacked.supervised_pid("aggregator")
    before = {pid: resident(pid) for pid in (edge, router, aggregator)}
    most = dict(before)
    agent = Agent(attacked, contract)
    agent.thread.start()
    watched = threading.Event()

    def watch():
        while not watched.wait(0.05):
            for pid in most:
                most[pid] = max(most[pid], resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    ours, theirs = multiprocessing.Pipe()
    arguments = (attack, attacked.grpc, str(attacked.authority.certificate), theirs)
    process = multiprocessing.get_context("spawn").Process(target=attacker, args=arguments)
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "ready"
        wait_until(lambda: len(agent.milliseconds) > 100, "calls without an attack")
        agent.figures()
        wait_until(lambda: len(agent.milliseconds) > 100, "calls without an attack")
        quiet = agent.figures()
        ours.send("begin")
        said = ours.recv()
        during = agent.figures()
        ours.send("end")
        process.join()
        wait_until(lambda: len(agent.milliseconds) > 50, "calls after the attack")
        agent.figures()
        wait_until(lambda: len(agent.milliseconds) > 50, "calls after the attack")
        after = agent.figures()
    finally:
        process.kill()
        process.join()
        agent.stop.set()
        agent.thread.join()
        watched.set()
        watcher.join()
    names = {edge: "haproxy", router: "router", aggregator: "aggregator"}
    memory = ", ".join(f"{names[pid]} {before[pid] >> 20} → {most[pid] >> 20} MB" for pid in most)
    print(f"\n{attack.__name__}: p50/p99/max ms before {quiet[0]:.1f}/{quiet[1]:.1f}/{quiet[2]:.1f}, "
          f"during {during[0]:.1f}/{during[1]:.1f}/{during[2]:.1f}, after {after[0]:.1f}/{after[1]:.1f}/{after[2]:.1f}; "
          f"{memory}; {said}")
    assert not agent.failures, agent.failures[:3]
    assert (haproxy_pid(attacked), attacked.supervised_pid("router")) == (edge, router)
    assert most[edge] < EDGE_MEMORY_MAX
    for pid in (router, aggregator):
        assert most[pid] - before[pid] < MEMORY_GROWTH_MAX
    wait_until(lambda: attacked.status()["ready"], "a ready cluster")
