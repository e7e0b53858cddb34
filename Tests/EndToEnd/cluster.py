"""A real cluster on free loopback ports in a directory of its own, driven by scripts/cluster as a user drives it."""
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import time
import urllib.request

import grpc
from prometheus_client.parser import text_string_to_metric_families

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RESOURCES = ("function", "cpu", "memory", "network", "io", "gpu")
MESSAGE_BYTES_MAX = 100_000_000
CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The channels of one test run otherwise share connections, and so each other's failures.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
# Of the settings (scripts/cluster --help): what stands in the environment of the tests is not for their clusters.
SETTING_VARIABLES = re.findall(r";\s+env\s+(\w+)\)", (ROOT / "scripts/lib/options.txt").read_text(encoding="utf-8"))


# Below the range from which the kernel gives ports to connections, which could take one before its server listens.
# Each of pytest's processes (gw0, gw1, …) has ports of its own, as a port is free until its server listens.
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PORTS = iter(random.sample(range(10_000 + PROCESS, 32_768, PROCESSES), k=22_768 // PROCESSES))


def free_port():
    """A port that nothing listens on; none is handed out twice."""
    for port in PORTS:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("no free port left")


def wait_until(condition, what, seconds=30):
    """Returns the first true value of condition(); fails, saying what and the last value, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}; last seen: {value!r}")
        time.sleep(0.05)


class Cluster:
    """`programs`: the directory of the programs to run; None lets scripts/cluster build and take the release."""

    # Words before each command, as those that run it elsewhere.
    prefix = ()

    def __init__(self, directory, programs):
        self.data = pathlib.Path(directory)
        self.grpc = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("TRACE_BIN_DIR", *SETTING_VARIABLES)
        }
        self.environment["DRAIN_TIMEOUT"] = "60"
        # Tests of the console give it a port of its own by a flag.
        self.environment["CONSOLE_PORT"] = "off"
        self.programs = ROOT / ".build/release" if programs is None else pathlib.Path(programs)
        if programs is not None:
            self.environment["TRACE_BIN_DIR"] = str(programs)
        self.channels = []

    # The script

    def run(self, command, *arguments, check=True, seconds=120):
        done = subprocess.run(
            [*self.prefix, ROOT / "scripts/cluster", command, "--data", self.data, *arguments],
            env=self.environment, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"cluster {command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def up(self, *arguments, seconds=120):
        return self.run("up", "--grpc", self.grpc, "--metrics", self.http, *arguments, seconds=seconds)

    def tracectl(self, *arguments, check=True, seconds=120):
        done = subprocess.run(
            [*self.prefix, self.programs / "tracectl", *arguments], capture_output=True, text=True, timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"tracectl {arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def stop(self, check=True):
        for channel in self.channels:
            channel.close()
        self.channels.clear()
        return self.run("stop", check=check, seconds=180)

    # What it says

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def quiet_status(self, received):
        """The status once all of `received` events are accounted for."""

        def settled():
            status = self.status()
            accounted = sum(
                status[name]
                for name in ("written_events", "deduplicated_events", "dead_lettered_events", "rejected_events")
            )
            return status if status["received_events"] == received == accounted else None

        try:
            return wait_until(settled, f"{received} events received and accounted for", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.status()}") from None

    def settled_status(self, seconds=60):
        """The status once no worker lags and every event received is accounted for, on /metrics too."""

        def settled():
            # What is shown may be a second old, and have been settled before the last batch.
            accepted = self.accepted_events()
            status = self.status()
            if not status["ready"] or any(worker["lag_bytes"] for worker in status["workers"]):
                return None
            if accepted is None or status["received_events"] < accepted:
                return None
            return status if self.imbalance(status) is None else None

        try:
            return wait_until(settled, "received = written + deduplicated + dead-lettered + rejected", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; status: {self.status()}") from None

    def accepted_events(self, address=None):
        """As the router counts them at this moment; None where it does not answer."""
        try:
            with grpc.insecure_channel(address or self.grpc, options=CHANNEL_OPTIONS) as channel:
                answer = channel.unary_unary("/NeuTracer.TracerService/GetStatus")(b"", timeout=10)
        except grpc.RpcError:
            return None
        # Field 2 of StatusResponse, behind the bool that is field 1; 0 is not sent.
        rest = answer[2:] if answer[:1] == b"\x08" else answer
        if rest[:1] != b"\x10":
            return 0
        value = 0
        for place, byte in enumerate(rest[1:]):
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                break
        return value

    def imbalance(self, status):
        """What of the accounting does not add up, in the status or on /metrics; None where all does."""
        accounted = sum(
            status[name]
            for name in ("written_events", "deduplicated_events", "dead_lettered_events", "rejected_events")
        )
        if status["received_events"] != accounted:
            return f"received {status['received_events']}, accounted for {accounted}"
        if status["uncertain_events"]:
            return f"{status['uncertain_events']} events of lost log ranges that may have been applied"
        counted = sum(self.metrics().get("trace_events_total", {}).values())
        if counted != status["written_events"]:
            return f"written {status['written_events']}, trace_events_total {counted}"
        return None

    def get(self, path, accept=None):
        request = urllib.request.Request(f"http://{self.http}{path}", headers={"Accept": accept} if accept else {})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode("utf-8")

    def metrics(self, path="/metrics"):
        """All samples: {name: {(("label", "value"), …): value}}, read by Prometheus' own parser."""
        samples = {}
        for family in text_string_to_metric_families(self.get(path)):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return samples

    def pid(self, name):
        """The process id of `router`, `aggregator` or a worker, None while it is down."""
        status = self.status()
        if name in ("router", "aggregator"):
            return status[name]["pid"]
        return next((worker["pid"] for worker in status["workers"] if worker["name"] == name), None)

    def supervised_pid(self, name):
        """As the supervisor knows it, also while nothing answers."""
        done = subprocess.run(
            ["s6-svstat", "-o", "pid", self.data / "run/services" / name], capture_output=True, text=True
        )
        pid = int(done.stdout.strip() or -1)
        return pid if pid > 0 else None

    def processes(self):
        """Every living process that works in the data directory or names it on its command line."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                directory = os.readlink(entry / "cwd")
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # ended meanwhile
            # A zombie has no command line left; only its parent's reaping is missing.
            if command and int(entry.name) != os.getpid():
                if str(self.data) in command or pathlib.Path(directory).is_relative_to(self.data):
                    found[int(entry.name)] = command
        return found

    def logs(self):
        return "\n".join(
            f"--- {path.parent.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.data.glob("logs/*/current"))
        )

    # gRPC

    def channel(self):
        channel = grpc.insecure_channel(self.grpc, options=CHANNEL_OPTIONS)
        self.channels.append(channel)
        return channel
