"""deploy/systemd and deploy/docker: what a supervisor or an engine would do with them, done by the test."""
import concurrent.futures
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from cluster import ROOT, Cluster, free_port, wait_until
from outputs import assert_holds_exactly
from traffic import Traffic
from units import START_ORDER, UNITS, WORKERS, Unit, environment

DOCKERFILE = ROOT / "deploy/docker/Dockerfile"


# systemd


class Service:
    """A unit's process, with the socket that it notifies."""

    def __init__(self, unit, directory):
        self.unit = unit
        self.watchdog_seconds = int(unit.values("WatchdogSec")[0])
        path = directory / f"{len(list(directory.glob('*.sock')))}.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.log = open(path.with_suffix(".log"), "wb")
        environment = {
            "PATH": os.environ["PATH"], **unit.environment, "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(self.watchdog_seconds * 1_000_000),
        }
        self.process = subprocess.Popen(
            unit.command("ExecStart"), env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log,
        )

    def told(self, seconds):
        """The next notification; None where none comes in time."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def wait_for(self, message, seconds=60):
        """Takes notifications, which may be signs of life only, until this one comes."""
        while (told := self.told(seconds)) == "WATCHDOG=1" != message:
            pass
        assert told == message, f"{self.unit.name}: {told}\n{open(self.log.name).read()}"

    def forget(self):
        while self.told(0.001):
            pass

    def assert_alive(self):
        """In time, and again: less than half of WatchdogSec apart, as sd_watchdog_enabled(3) asks."""
        self.forget()
        for _ in range(3):
            assert self.told(self.watchdog_seconds / 2) == "WATCHDOG=1", self.unit.name

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.socket.close()
        self.log.close()


@pytest.fixture
def services(tmp_path, programs):
    """Every unit's service, started in order in a new data directory; all are ready."""
    addresses = environment()
    places = {
        "/usr/lib/trace-processor/bin": str(programs), "/var/lib/trace-processor": str(tmp_path / "data"),
        addresses["TRACE_GRPC"]: f"127.0.0.1:{free_port()}", addresses["TRACE_METRICS"]: f"127.0.0.1:{free_port()}",
        addresses["TRACE_CONSOLE"]: f"127.0.0.1:{free_port()}",
    }
    (tmp_path / "data").mkdir()
    started = {}
    try:
        for name in START_ORDER:
            started[name] = Service(Unit(name, places), tmp_path)
            started[name].wait_for("READY=1")
        yield started
    finally:
        for service in started.values():
            service.end()


@pytest.fixture
def reached(services, programs):
    """The services' cluster, to be sent to and asked."""
    arguments = {name: services[name].process.args for name in services}
    router, aggregator = arguments["trace-router.service"], arguments["trace-aggregator.service"]
    cluster = Cluster(router[router.index("--data") + 1], programs)
    cluster.grpc = router[router.index("--grpc") + 1]
    cluster.http = aggregator[aggregator.index("--metrics") + 1]
    wait_until(lambda: json.loads(cluster.get("/status"))["ready"], "a ready cluster")
    yield cluster
    for channel in cluster.channels:
        channel.close()


def test_systemd_takes_the_units(tmp_path, programs):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on the PATH; scripts/test installs systemd")
    for file in UNITS.iterdir():
        text = file.read_text(encoding="utf-8").replace("/usr/lib/trace-processor/bin", str(programs))
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    names = ["trace-cluster.target", *START_ORDER]
    for name in WORKERS:
        (tmp_path / name).symlink_to("trace-worker@.service")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in names)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_target_has_every_unit_in_order():
    units = {name: Unit(name, {}) for name in START_ORDER}
    target = (UNITS / "trace-cluster.target").read_text(encoding="utf-8")
    wanted = " ".join(re.findall("^Wants=(.*)$", target, re.MULTILINE)).split()
    assert sorted(wanted) == sorted(START_ORDER)
    for unit in units.values():
        assert unit.words("PartOf") == {"trace-cluster.target"}
        assert unit.words("Type") == {"notify"} and unit.words("Restart") == {"always"}
        assert unit.words("ProtectSystem") == {"strict"} and unit.words("NoNewPrivileges") == {"yes"}
    # Stopped the other way round: the router drains while all others live, the aggregator ends last.
    assert "trace-aggregator.service" in units["trace-router.service"].words("After")
    for name in WORKERS:
        assert "trace-aggregator.service" in units[name].words("After")
        assert "trace-router.service" in units[name].words("Before")


def test_the_units_hardening_is_the_same():
    """But for the network, which a worker has none of."""
    hardening = []
    for name in ("trace-aggregator.service", "trace-router.service", "trace-console.service", WORKERS[0]):
        text = Unit(name, {}).settings
        begin = text.index(("User", "trace-processor"))
        hardening.append([entry for entry in text[begin:] if entry[0] not in ("RestrictAddressFamilies", "PrivateNetwork")])
    assert all(entries == hardening[0] for entries in hardening)
    assert Unit(WORKERS[0], {}).values("RestrictAddressFamilies") == ["AF_UNIX"]


def test_ready_means_in_service(services, reached, contract):
    traffic = Traffic(contract.messages)
    assert contract.services.TracerServiceStub(reached.channel()).SendTraceBatch(traffic.batch(), timeout=30).success
    assert reached.get("/healthz")
    with concurrent.futures.ThreadPoolExecutor(len(services)) as threads:
        list(threads.map(Service.assert_alive, services.values()))


def test_a_stop_drains_and_ends_everything_in_order(services, reached, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(reached.channel())
    for _ in range(5):
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
    router = services["trace-router.service"]
    subprocess.run(router.unit.command("ExecStop"), check=True, capture_output=True, timeout=60)
    for name in reversed(START_ORDER):
        service = services[name]
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("STOPPING=1")
        assert service.process.wait(60) == 0, name
    assert_holds_exactly(reached.data, traffic)


def test_a_supervisor_that_does_not_read_holds_nobody_up(services, reached, contract):
    """Its queue of notifications is full from the begin on; signs of life are left out then."""
    for service in services.values():
        service.forget()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    client.sendto(b"WATCHDOG=1", service.socket.getsockname())
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(reached.channel())
    for _ in range(5):
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
        reached.tracectl("finalize", "--data", str(reached.data), seconds=60)
    assert_holds_exactly(reached.data, traffic)


def test_a_stopped_worker_gives_no_sign_of_life(services, reached):
    service = services[WORKERS[0]]
    service.assert_alive()
    service.process.send_signal(signal.SIGSTOP)
    try:
        service.forget()
        assert service.told(3) is None
    finally:
        service.process.send_signal(signal.SIGCONT)
    service.assert_alive()


def test_a_hung_apply_loop_gives_no_sign_of_life(services, reached):
    """Its thread alone is held, as by a debugger; the worker's other threads run on."""
    service = services[WORKERS[0]]
    service.assert_alive()
    pid = service.process.pid
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach, all_kinds = 0x4206, 0x4207, 17, 0x40000000  # linux/ptrace.h, linux/wait.h
    if libc.ptrace(seize, pid, None, None) != 0:
        pytest.skip(f"ptrace is not permitted: {os.strerror(ctypes.get_errno())}")
    try:
        assert libc.ptrace(interrupt, pid, None, None) == 0
        assert os.waitpid(pid, all_kinds)[0] == pid
        service.forget()
        assert service.told(3) is None
    finally:
        libc.ptrace(detach, pid, None, None)
    service.assert_alive()


def test_a_workers_options_reach_it(tmp_path):
    program = tmp_path / "trace-worker"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    unit = Unit(WORKERS[0], {"/usr/lib/trace-processor/bin": str(tmp_path)})
    variables = {**unit.environment, "TRACE_WORKER_OPTIONS": "--csv-formula-guard"}
    done = subprocess.run(
        unit.command("ExecStart"), env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True
    )
    expected = "--data /var/lib/trace-processor --resource function --index 0 --time-zone UTC --csv-formula-guard\n"
    assert done.stdout == expected


@pytest.mark.parametrize(("code", "expected"), [("3", "--no-block stop trace-cluster.target\n"), ("1", ""), ("0", "")])
def test_the_routers_end_for_inactivity_stops_the_target(tmp_path, code, expected):
    told = tmp_path / "told"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{told}\n')
    (tmp_path / "systemctl").chmod(0o755)
    told.touch()
    command = Unit("trace-router.service", {}).command("ExecStopPost")
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(command, env={"PATH": path, "EXIT_STATUS": code}, check=True, timeout=30)
    assert told.read_text() == expected


# Containers


def instructions():
    """[(instruction, the rest)] of the Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def stage(last):
    """The instructions of the last stage, or of those before it."""
    all_of_them = instructions()
    begin = max(index for index, (name, _) in enumerate(all_of_them) if name == "FROM")
    return all_of_them[begin:] if last else all_of_them[:begin]


def packages(steps):
    installs = [install for name, rest in steps for install in re.findall(r"apt-get install (.*?)&&", rest)]
    return {word for install in installs for word in install.split() if not word.startswith(("-", "/"))}


def test_what_the_image_copies_is_there_and_reaches_the_builder():
    copied = [
        word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ]
    assert copied
    let_through = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in let_through, path


def test_the_images_packages_are_those_that_the_cluster_installs():
    def listed(name):
        script = f'. {ROOT}/scripts/lib/packages.sh && echo "${{{name}[@]}}"'
        return set(subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.split())

    # Time zones are files of a package that a full Debian has; HAProxy is used where it is installed.
    assert packages(stage(last=True)) == listed("run_packages") | {"tzdata", "adduser", "haproxy"}
    assert packages(stage(last=False)) == listed("build_packages") | {"dpkg-dev", "python3"}
    # Built and run with the same release's libraries.
    assert all("bookworm" in rest for name, rest in instructions() if name == "FROM")


def test_apt_could_install_the_images_packages():
    if not any(pathlib.Path("/var/lib/apt/lists").glob("*Packages*")):
        pytest.skip("apt has no package lists here")
    done = subprocess.run(
        ["apt-get", "-s", "-qq", "--no-install-recommends", "install", *sorted(packages(instructions()))],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr


class Container:
    """scripts/cluster as the Dockerfile's last lines run it: the first process of a PID namespace."""

    def __init__(self, cluster):
        steps = dict(stage(last=True))
        command = [*json.loads(steps["ENTRYPOINT"]), *json.loads(steps["CMD"])]
        places = {
            "/usr/bin/trace-cluster": str(ROOT / "scripts/cluster"), "/data": str(cluster.data), "0.0.0.0:50051": cluster.grpc,
            "0.0.0.0:9091": cluster.http, "0.0.0.0:9090": f"127.0.0.1:{free_port()}",
        }
        for place, here in places.items():
            command = [word.replace(place, here) for word in command]
        health = steps["HEALTHCHECK"].partition("CMD ")[2]
        self.health = health.replace("/usr/bin/trace-cluster", str(ROOT / "scripts/cluster")).replace("/data", str(cluster.data))
        self.environment = cluster.environment
        self.log = open(cluster.data.parent / "container.log", "wb")
        self.unshare = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *command], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        self.first = wait_until(self._first, "the namespace's first process")
        try:
            wait_until(self.is_healthy, "a healthy container", 60)
            # Until then a stop breaks off the start.
            wait_until(lambda: "is ready" in self.said(), "the end of the start")
        except BaseException:
            self.end()
            raise

    def _first(self):
        assert self.unshare.poll() is None, self.said()
        children = open(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read().split()
        return int(children[0]) if children else None

    def said(self):
        return open(self.log.name, encoding="utf-8").read()

    def is_healthy(self):
        return subprocess.run(["sh", "-c", self.health], env=self.environment, capture_output=True).returncode == 0

    def run(self, *command):
        """As `docker exec` does."""
        return subprocess.run(
            ["nsenter", "-t", str(self.first), "--pid", "--mount", *command], check=True, capture_output=True, text=True,
        ).stdout

    def end(self):
        if self.unshare.poll() is None:
            self.unshare.kill()  # --kill-child: and with it the namespace
            self.unshare.wait()
        self.log.close()


@pytest.fixture
def namespaces():
    try:
        done = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("unshare is not on the PATH")
    if done.returncode != 0:
        pytest.skip(f"no PID namespace to be had: {done.stderr}")


def test_as_the_first_process_it_reaps_drains_and_tells(namespaces, tmp_path, programs, contract):
    cluster = Cluster(tmp_path / "data", programs)
    traffic = Traffic(contract.messages)
    container = Container(cluster)
    try:
        stub = contract.services.TracerServiceStub(cluster.channel())
        for _ in range(5):
            assert stub.SendTraceBatch(traffic.batch(), timeout=30).success

        # An orphan falls to the first process.
        container.run("sh", "-c", "(exec sleep 0.1) & exit")
        wait_until(lambda: "sleep 0.1" not in container.run("ps", "axo", "args"), "the orphan's end")
        wait_until(lambda: "Z" not in container.run("ps", "axho", "stat"), "no zombie")

        os.kill(container.first, signal.SIGTERM)
        assert container.unshare.wait(60) == 0, container.said()
    finally:
        container.end()
    assert_holds_exactly(cluster.data, traffic)


def test_a_container_killed_goes_on_where_it_was(namespaces, tmp_path, programs, contract):
    cluster = Cluster(tmp_path / "data", programs)
    traffic = Traffic(contract.messages)
    for _ in range(2):
        container = Container(cluster)
        try:
            stub = contract.services.TracerServiceStub(cluster.channel())
            assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
        finally:
            container.end()
    container = Container(cluster)
    try:
        os.kill(container.first, signal.SIGTERM)
        assert container.unshare.wait(60) == 0, container.said()
    finally:
        container.end()
    assert_holds_exactly(cluster.data, traffic)
