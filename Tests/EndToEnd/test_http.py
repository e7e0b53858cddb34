"""The aggregator's pages under clients that are slow, hostile, or many: they cost only themselves."""
import pathlib
import re
import resource
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

from cluster import wait_until

SLICE = 1 << 16
HELD_BYTES_MAX = 256 << 20  # Limits.httpHeldBytesMax


class Aggregator:
    """The program by itself, with a data directory of its own: its page is small."""

    def __init__(self, directory, programs):
        directory.mkdir()
        self.process = subprocess.Popen(
            [programs / "trace-aggregator", "--data", directory, "--metrics", "127.0.0.1:0"],
            stderr=subprocess.PIPE, text=True,
        )
        self.log = []
        self.address = None
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        wait_until(lambda: self.address or self.process.poll() is not None, "it serves")
        assert self.address, self.log

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"address=127\.0\.0\.1:(\d+)", line):
                self.address = ("127.0.0.1", int(found[1]))

    def end(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.reader.join()
        assert code == 0, "".join(self.log)

    @property
    def pid(self):
        return self.process.pid


@pytest.fixture
def aggregator(tmp_path, programs):
    aggregator = Aggregator(tmp_path / "data", programs)
    yield aggregator
    aggregator.end()


@pytest.fixture
def clients():
    """Opens connections; the test's end closes them."""
    opened = []

    def connect(address, receive_bytes=None, seconds=30):
        client = socket.socket()
        opened.append(client)
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(seconds)
        client.connect(address)
        return client

    yield connect
    for client in opened:
        client.close()


def get(address, path="/metrics", seconds=30):
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=seconds) as response:
        return response.read()


def closed(address):
    """What the aggregator counts of connections that it ended, by reason."""
    page = get(address, "/metrics?names=trace").decode()
    found = re.findall(r'trace_http_connections_closed_total\{reason="(\w+)"\} (\d+)', page)
    return {reason: int(count) for reason, count in found}


def read_all(client):
    """What comes until the server closes, and whether it closed without an error."""
    received = b""
    try:
        while more := client.recv(SLICE):
            received += more
        return received, True
    except ConnectionResetError:
        return received, False


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10


@pytest.mark.parametrize("count", [64, 300])
def test_slow_heads_cost_only_themselves(aggregator, clients, count):
    address = aggregator.address
    slow = [clients(address) for _ in range(count)]
    begun = time.monotonic()
    for client in slow:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
    # While they go on, byte by byte, others are served as ever.
    while time.monotonic() < begun + 8:
        before = time.monotonic()
        assert b"trace_errors_total" in get(address)
        assert time.monotonic() - before < 5
        for client in slow:
            try:
                client.send(b"x")
            except (BrokenPipeError, ConnectionResetError):
                pass  # one that gave way
    counts = wait_until(
        lambda: (found := closed(address)) and sum(found.values()) >= count and found, "all are closed"
    )
    assert counts["slow_head"] + counts["displaced"] == count
    assert (counts["displaced"] > 0) == (count > 256)
    answers = [read_all(client)[0] for client in slow]
    assert sum(answer.startswith(b"HTTP/1.1 408 ") for answer in answers) >= counts["slow_head"] / 2
    assert set(answer[:13] for answer in answers) <= {b"", b"HTTP/1.1 408 "}


def test_idle_connections_give_way(aggregator, clients):
    address = aggregator.address
    idle = []
    for _ in range(256):
        client = clients(address)
        client.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert client.recv(SLICE).startswith(b"HTTP/1.1 200 ")
        idle.append(client)
    for _ in range(5):
        assert b"trace_errors_total" in get(address, seconds=5)
    # The oldest one has made room.
    assert read_all(idle[0]) == (b"", True)
    idle[-1].sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert idle[-1].recv(SLICE).startswith(b"HTTP/1.1 200 ")


def test_what_no_page_takes_is_refused_unread(aggregator, clients):
    address = aggregator.address
    before = resident_bytes(aggregator.pid)
    for head, code in (
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", b"413"),
        (b"GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"413"),
        (b"GET /metrics HTTP/1.1\r\nx: ", b"431"),
    ):
        client = clients(address)
        client.sendall(head)
        sent = 0
        try:
            while sent < 1 << 30:
                sent += client.send(bytes(SLICE) if code == b"413" else b"a" * SLICE)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 1 << 30, "it was read to its end"
        # A client that reads instead of writing hears why.
        client = clients(address)
        client.sendall(head + b"a" * 20_000)
        assert read_all(client)[0].startswith(b"HTTP/1.1 " + code)
    assert resident_bytes(aggregator.pid) - before < 20 << 20
    counts = wait_until(lambda: (found := closed(address)).get("large_head") == 2 and found, "they are counted")
    assert counts["body"] == 4


def test_requests_ahead_of_their_replies_wait_in_the_kernel(aggregator, clients):
    address = aggregator.address
    # 1,000 are answered in their order…
    client = clients(address)
    paths = ["/healthz", "/nowhere"] * 500
    client.sendall("".join(f"GET {path} HTTP/1.1\r\n\r\n" for path in paths).encode())
    client.shutdown(socket.SHUT_WR)
    codes = re.findall(rb"HTTP/1\.1 (\d+) ", read_all(client)[0])
    assert codes == [b"200", b"404"] * 500
    # …and of those who ask without reading, each is held back.
    before = resident_bytes(aggregator.pid)
    for _ in range(20):
        client = clients(address, receive_bytes=4096)
        client.setblocking(False)
        stuck = time.monotonic() + 0.5
        while time.monotonic() < stuck:
            try:
                client.send(b"GET /metrics HTTP/1.1\r\n\r\n" * 10_000)
            except BlockingIOError:
                time.sleep(0.01)
    assert resident_bytes(aggregator.pid) - before < 40 << 20
    assert b"trace_errors_total" in get(address, seconds=5)


def test_without_descriptors_connections_wait(aggregator, clients):
    address = aggregator.address
    limits = resource.prlimit(aggregator.pid, resource.RLIMIT_NOFILE)
    taken = {int(entry.name) for entry in pathlib.Path(f"/proc/{aggregator.pid}/fd").iterdir()}
    free = next(number for number in range(limits[0]) if number not in taken)
    resource.prlimit(aggregator.pid, resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        waiting = clients(address)
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        wait_until(lambda: any("connections cannot be accepted" in line for line in aggregator.log), "it is logged")
        usage = pathlib.Path(f"/proc/{aggregator.pid}/stat")
        ticks = [sum(map(int, usage.read_text().split()[13:15]))]
        waiting.settimeout(1)
        with pytest.raises(TimeoutError):
            waiting.recv(SLICE)
        ticks.append(sum(map(int, usage.read_text().split()[13:15])))
        assert ticks[1] - ticks[0] < 50, "it turns round instead of waiting"
    finally:
        resource.prlimit(aggregator.pid, resource.RLIMIT_NOFILE, limits)
    waiting.settimeout(10)
    assert read_all(waiting)[0].endswith(b"ok\n")
    assert get(address, "/healthz") == b"ok\n"
    assert sum("connections cannot be accepted" in line for line in aggregator.log) == 1
    errors = rb"trace_http_accept_errors_total ([1-9]\d*)"
    wait_until(lambda: re.search(errors, get(address, "/metrics?names=trace")), "it is counted")


# Many long names make a page of some 10 MB.
FUNCTIONS = 3_200


def large_batch(messages, number):
    batch = messages.TraceBatch(semantics=messages.CUMULATIVE)
    for index in range(FUNCTIONS if number == 0 else 1):
        name = f"f{index}_" + "x" * 230
        for kind in (0, 1):
            batch.trace_data.add(
                timestamp=f"{1_760_000_000 + number}.{index * 10 + kind:06d}", event_type=kind,
                cookie=number * FUNCTIONS + index + 1, function_name=name, pid=4101, tgid=4001, call_count=1,
                avg_duration_us=5,
            )
    return batch


def test_slow_readers_share_pages_and_cost_only_themselves(cluster, contract, clients):
    host, port = cluster.http.split(":")
    address = (host, int(port))
    stub = contract.services.TracerServiceStub(cluster.channel())
    assert stub.SendTraceBatch(large_batch(contract.messages, 0), timeout=60).success
    cluster.settled_status()
    size = len(get(address))
    assert size > 8 << 20
    pid = cluster.pid("aggregator")
    before = resident_bytes(pid)
    rounds = HELD_BYTES_MAX // size + 5
    readers = []
    peak = 0
    for number in range(1, rounds + 1):
        for _ in range(3):
            reader = clients(address, receive_bytes=4096)
            reader.sendall(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")
            readers.append(reader)
        # Something new, so that the next readers get another page.
        assert stub.SendTraceBatch(large_batch(contract.messages, number), timeout=30).success
        begun = time.monotonic()
        assert len(get(address)) >= size * 0.9
        wait_until(lambda: time.monotonic() > begun + 1, "a page is a second old")
        peak = max(peak, resident_bytes(pid))
    print(f"{len(readers)} readers of {rounds} pages of {size} bytes: {before} bytes resident, then {peak}")
    # The newest page, the one that is made, and what making it takes.
    assert peak - before < HELD_BYTES_MAX + 6 * size + (50 << 20)
    # A reader of the newest page gets all of it.
    answer, is_whole = read_all(readers[-1])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert is_whole and int(re.search(rb"Content-Length: (\d+)", head)[1]) == len(body)
    counts = closed(address)
    # Too much held together, or, where rounds take long, too slow for too long.
    assert counts["held_body"] + counts["slow_reader"] > 0
    # Readers take each place, and take nothing.
    for _ in range(300):
        clients(address, receive_bytes=4096).sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert len(get(address)) >= size * 0.9
