"""Three clusters in networks of their own, behind one HAProxy, with agents in a fourth and one object store for all."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import duckdb
import pytest
from s3fs import S3FileSystem

from certificates import Authority
from cluster import ROOT, Cluster, wait_until
from object_store import ObjectStore, use

CELLS = ("east", "west", "north")
HOSTS = [f"web-{number}" for number in range(9)]


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


class Network:
    """A bridge of this machine, and a namespace for each name, with an address of its own and no other way out."""

    def __init__(self, names):
        self.prefix = f"t{os.getpid()}"
        self.bridge = f"{self.prefix}br"
        taken = ip("-o", "-4", "address")
        # Addresses for tests (RFC 2544); another test run may have some.
        net = next(f"198.18.{number}" for number in range(256) if f" 198.18.{number}." not in taken)
        self.address = f"{net}.1"
        self.addresses = {name: f"{net}.{number}" for number, name in enumerate(names, 11)}
        self.names = names

    def __enter__(self):
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("address", "add", f"{self.address}/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for name, address in self.addresses.items():
                space, port = f"{self.prefix}-{name}", f"{self.prefix}{name}"[:15]
                ip("netns", "add", space)
                ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
                ip("link", "set", port, "master", self.bridge, "up")
                ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    ip("-n", space, "link", "set", device, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # A pair of devices goes with the namespace that one of them is in.
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", f"{self.prefix}-{name}"], capture_output=True)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)

    def command(self, name):
        """What runs a program in a namespace."""
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{name}"]


class Cell(Cluster):
    """A cluster in a namespace, which takes clients' names from the edge."""

    def __init__(self, directory, programs, network, name):
        super().__init__(directory, programs)
        self.name, self.prefix = name, network.command(name)
        address = network.addresses[name]
        self.grpc, self.http = f"{address}:50051", f"{address}:9091"
        self.proxy = network.address

    def start(self, place):
        self.up("--edge", "off", "--trusted-proxy", self.proxy, "--object-store", place, "--cell", self.name)

    def kill(self):
        """Ends all of its processes at once, as a machine ends that loses its power."""
        while found := self.processes():
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


class Agents:
    """The program cell_agents.py, in the agents' namespace."""

    def __init__(self, network, authority, contract, address):
        mine = authority.directory
        stubs = pathlib.Path(contract.messages.__file__).parent
        files = (authority.certificate, mine / "agents.pem", mine / "agents.key")
        self.process = subprocess.Popen(
            [*network.command("agents"), sys.executable, ROOT / "Tests/EndToEnd/cell_agents.py", stubs, address, *files,
             *HOSTS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.answered = dict.fromkeys(HOSTS, 0)
        self.sent = None
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if isinstance(said[HOSTS[0]], int):
                self.answered = said
            else:
                self.sent = said

    def wait_for_calls(self, count, hosts=HOSTS, seconds=60):
        """Waits until each of these hosts has got so many further answers."""
        before = self.answered
        wait_until(lambda: all(self.answered[host] >= before[host] + count for host in hosts),
                   f"{count} more calls of each of {hosts}", seconds)

    def finish(self):
        """What each host has sent: every call of it is answered."""
        self.process.stdin.close()
        self.reader.join(timeout=90)
        assert self.process.wait(timeout=10) == 0 and self.sent
        return self.sent

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


def all_at_once(calls):
    with ThreadPoolExecutor() as pool:
        for result in [pool.submit(call) for call in calls]:
            result.result()


@contextlib.contextmanager
def running_edge(directory, programs, network, authority, cells):
    address = f"{network.address}:50051"
    words = [word for cell in cells for word in ("--cell", cell.grpc)]
    mine = authority.directory
    with open(directory / "edge.log", "w+") as log:
        process = subprocess.Popen(
            [programs / "tracectl", "edge", "run", "--data", directory / "edge", "--grpc", address, *words,
             "--tls-cert", mine / "server.pem", "--tls-key", mine / "server.key", "--tls-client-ca", authority.certificate],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )

        def listens():
            assert process.poll() is None, (directory / "edge.log").read_text()
            with contextlib.suppress(OSError), socket.create_connection((network.address, 50051), timeout=1):
                return True

        try:
            wait_until(listens, "HAProxy listens")
            yield address
            assert process.poll() is None, (directory / "edge.log").read_text()
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def survived(tmp_path_factory, programs, contract):
    """Three cells of which one was killed under load and came back, when all that was sent is in the store."""
    directory = tmp_path_factory.mktemp("cells")
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network([*CELLS, "agents"]))
        store = ObjectStore(directory / "s3", network.address)
        stack.callback(store.stop)
        store.start()
        place = store.make_bucket("results") + "/production"
        authority = Authority(directory / "ca")
        authority.issue("server", "edge", alternatives=f"IP:{network.address}")
        authority.issue("agents")
        cells = [Cell(directory / name, programs, network, name) for name in CELLS]
        for cell in cells:
            use(cell, store)
            stack.callback(cell.kill)
        all_at_once([lambda cell=cell: cell.start(place) for cell in cells])
        address = stack.enter_context(running_edge(directory, programs, network, authority, cells))
        agents = Agents(network, authority, contract, address)
        stack.callback(agents.close)
        try:
            agents.wait_for_calls(20)
            received = {cell.name: cell.status()["received_events"] for cell in cells}
            victim = cells[0]
            victim.kill()
            before = dict(agents.answered)
            # Hosts of this cell wait.
            wait_until(lambda: sum(agents.answered[host] > before[host] + 20 for host in HOSTS) >= 3, "calls of others go on")
            victim.start(place)
            agents.wait_for_calls(20)
            sent = agents.finish()
            all_at_once([lambda cell=cell: cell.run("finalize") for cell in cells])

            def nothing_waits():
                states = [cell.status() for cell in cells]
                return all(state["merging"]["waiting_windows"] == state["object_store"]["waiting_windows"] == 0
                           for state in states)

            wait_until(nothing_waits, "everything is uploaded", 60)
        except BaseException:
            for cell in cells:
                print(f"{cell.name}\n{cell.logs()}")
            raise
        with pytest.MonkeyPatch.context() as patch:
            for name, value in store.environment.items():
                patch.setenv(name, value)
            yield SimpleNamespace(
                cells=cells, sent=sent, received=received, place=place, programs=programs, directory=directory, store=store,
            )


def tracectl(survived, *words):
    """Runs where all cells are reached, without the data directory of one."""
    done = subprocess.run(
        [survived.programs / "tracectl", *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env=survived.cells[0].environment, cwd=survived.directory,
    )
    assert done.returncode == 0, done
    return done.stdout


def hosts(survived, cell):
    """The number of events of each host of a cell, or all."""
    answer = json.loads(tracectl(survived, "hosts", "--json", "--object-store", survived.place, "--cell", cell))
    return {host["host"]: host["events"] for host in answer["hosts"]}


def test_calls_wait_for_a_cell_that_is_down(survived):
    """Only those of the cell's own hosts take long. Of these, only calls in progress may fail, once: HAProxy 2.6 repeats none
    whose connection was reset, as that of a killed program may be."""
    assert all(count > 0 for count in survived.received.values()), survived.received
    own = hosts(survived, survived.cells[0].name)
    failed = {host: sent["failures"] for host, sent in survived.sent.items() if sent["failures"]}
    assert failed.keys() <= own.keys() and all(len(failures) == 1 for failures in failed.values()), failed
    longest = {host: sent["longest"] for host, sent in survived.sent.items()}
    assert max(longest[host] for host in HOSTS if host not in own) < min(longest[host] for host in own), longest


def test_hosts_of_all_cells_or_of_one(survived):
    wanted = {host: sum(map(len, sent["sent"].values())) for host, sent in survived.sent.items()}
    assert hosts(survived, "all") == wanted
    each = [hosts(survived, cell) for cell in CELLS]
    assert all(each) and sum(map(len, each)) == len(HOSTS)
    assert {name: count for one in each for name, count in one.items()} == wanted


def test_every_event_is_in_the_store_once(survived):
    """Read by glob, over all cells."""
    database = duckdb.connect()
    database.register_filesystem(S3FileSystem(skip_instance_cache=True))

    def rows(resource, columns):
        files = f"{survived.place}/*/{resource}/*/*/*/{resource}_trace_*.csv"
        return database.sql(f"SELECT {columns} FROM read_csv('{files}', header = true, filename = true)").fetchall()

    for resource in ("cpu", "memory", "network", "io"):
        found = rows(resource, 'host, "Timestamp(ns)" // 1000')
        wanted = [(host, time) for host, sent in survived.sent.items() for time in sent["sent"][resource]]
        assert sorted(found) == sorted(wanted), resource
    calls = rows("function", "host")
    assert {host: calls.count((host,)) for host in HOSTS} == {host: sent["calls"] for host, sent in survived.sent.items()}
    # A host's events are in one cell.
    places = {(host, name.split("/io/")[0].split("/")[-1]) for host, name in rows("io", "host, filename")}
    assert len(places) == len(HOSTS) and {cell for _, cell in places} == set(CELLS)


def test_the_status_of_all_cells(survived):
    targets = [{"targets": [cell.http], "labels": {"cell": cell.name}} for cell in survived.cells]
    targets.append({"targets": ["127.0.0.1:1"], "labels": {"cell": "nowhere"}})
    (survived.directory / "cells.json").write_text(json.dumps(targets))
    said = json.loads(tracectl(survived, "status", "--json", "--cells", "cells.json"))["cells"]
    assert [cell["cell"] for cell in said] == [*CELLS, "nowhere"]
    assert [cell["status"]["ready"] for cell in said] == [True, True, True, False]
    events = sum(len(times) for sent in survived.sent.values() for times in sent["sent"].values())
    assert sum(cell["status"]["written_events"] for cell in said) == events
    table = tracectl(survived, "status", "--cells", "cells.json")
    assert table.count(" ready ") == 3 and "nowhere: " in table
    one = tracectl(survived, "status", "--cells", "cells.json", "--cell", "west")
    assert "west" in one and "east" not in one
    named = json.loads(tracectl(survived, "status", "--json", "--cells", f"{survived.cells[1].http}"))["cells"]
    assert named[0]["status"]["object_store"]["cell"] == "west"


def test_a_console_over_all_cells(survived, tmp_path):
    """It reads a mirror of the store, of which only the newest windows are kept."""
    words = ("mirror", "--data", tmp_path / "all", "--object-store", survived.place)
    windows = len(survived.store.keys("results", "production/")) and len([
        key for key in survived.store.keys("results", "production/") if "/windows/" in key
    ])
    assert f"{windows} windows downloaded, 0 removed" in tracectl(survived, *words)
    assert "0 windows downloaded, 0 removed" in tracectl(survived, *words)
    answer = json.loads(tracectl(survived, "hosts", "--json", "--data", tmp_path / "all"))
    assert [host["host"] for host in answer["hosts"]] == sorted(HOSTS)
    times = json.loads(tracectl(survived, "cat", "--resource", "io", "--data", tmp_path / "all"))["traceEvents"]
    assert len([event for event in times if event.get("cat") == "io"]) == sum(
        len(sent["sent"]["io"]) for sent in survived.sent.values()
    )
    with running_console(survived, tmp_path / "all") as get:
        assert [host["host"] for host in get("hosts")["hosts"]] == sorted(HOSTS)
        assert get("top")["functions"] and len(get("files?kind=summary")["files"]) == windows
    assert "windows downloaded" in tracectl(survived, *words, "--keep", "1K")
    assert not list((tmp_path / "all/output").glob("*/*.json"))


@contextlib.contextmanager
def running_console(survived, directory):
    """Yields what gets an endpoint's answer."""
    console = Cluster(directory, survived.programs)
    process = subprocess.Popen(
        [survived.programs / "trace-console", "--data", directory, "--console", console.http, "--pages",
         ROOT / "deploy/console"],
        stdin=subprocess.DEVNULL,
    )

    def answers():
        with contextlib.suppress(OSError):
            return console.get("/healthz")

    try:
        wait_until(answers, "the console answers")
        yield lambda path: json.loads(console.get(f"/api/v1/{path}"))
    finally:
        process.terminate()
        process.wait(timeout=20)
