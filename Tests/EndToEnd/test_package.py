"""scripts/package: the Debian package on a clean Debian, and the tarball.

The Debian is made by mmdebstrap in a directory, not an overlay over the machine's own: only there do the dependencies that the
package names prove to be all that it needs. The programs are those of TRACE_TEST_BIN_DIR, as in other tests. Where they were
linked with the Swift runtime as libraries, these are copied into that Debian; a release has the runtime inside.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from cluster import ROOT, Cluster, free_port, wait_until
from outputs import assert_holds_exactly
from traffic import Traffic
from units import START_ORDER, Unit

DATA = "/var/lib/trace-processor"
SETTINGS = "/etc/trace-processor/cluster.env"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def pack(programs, directory, **options):
    """The Debian package and the tarball."""
    printed = run(ROOT / "scripts/package", "--bin-dir", programs, "--output", directory, **options)
    deb, tarball = map(pathlib.Path, printed.splitlines())
    return deb, tarball


@pytest.fixture(scope="module")
def packages(tmp_path_factory, programs):
    return pack(programs, tmp_path_factory.mktemp("packages"))


class Debian:
    """A Debian in memory, the root of mount and PID namespaces of their own; the network is the machine's."""

    SCRIPT = """
        mount -t tmpfs -o mode=755 tmpfs "$1"
        mmdebstrap --quiet --mode=root --variant=apt --skip=cleanup/apt,check/empty --dpkgopt=force-unsafe-io bookworm "$1" $2
        cp /etc/resolv.conf "$1/etc/"
        mount --rbind /dev "$1/dev"
        mount -t proc proc "$1/proc"
        exec chroot "$1" sleep infinity
    """

    def __init__(self, directory, programs):
        self.directory = directory
        (directory / "debian").mkdir()
        sources = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
        with open(directory / "debian.log", "wb") as log:
            self.unshare = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", self.SCRIPT, "sh", directory / "debian",
                 sources if sources.exists() else ""],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        self.services = {}
        try:
            self.first = wait_until(lambda: self._becomes("sleep", self.unshare), "a Debian", 600)
            # As /proc has it: from outside, the mounts of another namespace are reached only there.
            self.root = pathlib.Path(f"/proc/{self.first}/root")
            libraries = re.findall(r"=> (\S+/swift/\S+)", run("ldd", *(programs / name for name in ("tracectl", "trace-console"))))
            for library in set(libraries):
                self.path(library).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, self.path(library))
        except BaseException:
            print((directory / "debian.log").read_text())
            self.end()
            raise

    def end(self):
        self.unshare.kill()  # --kill-child: and with it the namespaces, the memory too
        self.unshare.wait()
        for service in self.services.values():
            service.process.wait()
            service.log.close()

    @staticmethod
    def _becomes(name, parent):
        """The process id of a child once it runs a program."""
        assert parent.poll() is None, f"{name} has not started"
        children = pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        return int(children[0]) if children and pathlib.Path(f"/proc/{children[0]}/comm").read_text().startswith(name) else None

    def command(self, *words):
        return ["nsenter", "-t", str(self.first), "--mount", "--pid", "--root", "--wd", *words]

    def run(self, *words):
        return run(*self.command(*words), env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})

    def path(self, path):
        return self.root / path.lstrip("/")

    def install(self, package):
        shutil.copy(package, self.path("/tmp/package.deb"))
        self.run("apt-get", "install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-unsafe-io", "/tmp/package.deb")

    def version(self):
        return self.run("dpkg-query", "-W", "-f", "${Version}", "trace-processor")

    # What systemd does

    def pretend_systemd(self, *active):
        """From now on the package's scripts find systemd, which runs these units; it only notes what it is asked for."""
        self.path("/run/systemd/system").mkdir(parents=True)
        lines = "".join(f"{name} loaded active running A unit\\n" for name in active)
        program = self.path("/usr/bin/systemctl")
        program.write_text(f"#!/bin/sh\necho \"$*\" >>/run/asked\n[ $1 != list-units ] || printf '{lines}'\n")
        program.chmod(0o755)

    def asked_of_systemd(self):
        """What it was asked for since the last call."""
        file = self.path("/run/asked")
        lines = file.read_text().splitlines() if file.exists() else []
        file.write_text("")
        return lines

    def unit(self, name):
        return Unit(name, {}, self.path("/usr/lib/systemd/system"), self.path(SETTINGS))

    def start(self, name):
        """By ExecStart, with the user, the umask and the variables of the unit."""
        unit = self.unit(name)
        (user,), (group,), (umask,) = (unit.values(setting) for setting in ("User", "Group", "UMask"))
        variables = [f"{name}={value}" for name, value in unit.environment.items()] + unit.values("Environment")
        command = self.command(
            "setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "env", "-i", "PATH=/usr/bin:/bin", *variables,
            "sh", "-c", f'umask {umask}; exec "$@"', "sh", *unit.command("ExecStart"),
        )
        log = open(self.directory / f"{name}.log", "ab")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.services[name] = Service(process, log)
        self.services[name].pid = wait_until(lambda: self._becomes("trace-", process), f"{name}'s start")

    def end_service(self, name):
        service = self.services.pop(name)
        os.kill(service.pid, signal.SIGTERM)
        assert service.process.wait(60) == 0, pathlib.Path(service.log.name).read_text()
        service.log.close()


class Service:
    def __init__(self, process, log):
        self.process, self.log, self.pid = process, log, None


@pytest.fixture
def debian(tmp_path, programs):
    if os.geteuid() != 0:
        pytest.skip("a root directory of its own takes root's rights")
    debian = Debian(tmp_path, programs)
    try:
        yield debian
    finally:
        debian.end()


def version_before(package, directory):
    """The same package with a lower version."""
    run("dpkg-deb", "-R", package, directory / "contents")
    control = directory / "contents/DEBIAN/control"
    control.write_text(re.sub("^Version: .*$", "Version: 0.0.1", control.read_text(), flags=re.MULTILINE))
    run("dpkg-deb", "--root-owner-group", "-Zxz", "-z0", "-b", directory / "contents", directory / "before.deb")
    shutil.rmtree(directory / "contents")
    return directory / "before.deb"


def test_it_is_installed_run_upgraded_removed_and_purged(debian, packages, contract, tmp_path):
    package, _ = packages
    debian.install(version_before(package, tmp_path))
    assert debian.version() == "0.0.1"
    assert debian.run("stat", "-c", "%U:%G %a", DATA) == "trace-processor:trace-processor 750\n"
    assert re.match(r"\d+\.\d+\.\d+", debian.run("tracectl", "--version"))
    assert debian.run("trace-cluster", "--version") == debian.run("tracectl", "--version")
    assert "trace-cluster up" in debian.run("trace-cluster", "--help")
    assert "tracectl" in debian.run("bash", "-c", ". /usr/share/bash-completion/completions/tracectl && complete -p tracectl")
    # What `systemctl enable` does.
    run("systemctl", f"--root={debian.root}", "enable", "trace-cluster.target")
    assert os.path.lexists(debian.path("/etc/systemd/system/multi-user.target.wants/trace-cluster.target"))
    run("systemctl", f"--root={debian.root}", "disable", "trace-cluster.target")

    cluster = Cluster(debian.path(DATA), None)
    console = f"127.0.0.1:{free_port()}"
    settings = debian.path(SETTINGS)
    text = settings.read_text(encoding="utf-8")
    for standard, address in (("127.0.0.1:50051", cluster.grpc), ("127.0.0.1:9091", cluster.http), ("127.0.0.1:9090", console)):
        text = text.replace(standard, address)
    settings.write_text(text, encoding="utf-8")

    def is_ready():
        try:
            return json.loads(cluster.get("/status"))["ready"]
        except OSError:
            return False

    def start():
        for name in START_ORDER:
            debian.start(name)
        wait_until(is_ready, "a ready cluster", 60)

    def send():
        stub = contract.services.TracerServiceStub(cluster.channel())
        for _ in range(3):
            assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
        for channel in cluster.channels:
            channel.close()
        cluster.channels.clear()

    traffic = Traffic(contract.messages)
    start()
    send()
    host, _, port = console.rpartition(":")
    page = debian.run("bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3")
    assert "<html" in page

    # The unpacked files are new while the old processes run; then each is ended and started again.
    debian.pretend_systemd(*START_ORDER)
    debian.install(package)
    assert debian.version() != "0.0.1"
    reload, listing, *kills = debian.asked_of_systemd()
    assert reload == "daemon-reload" and "--state=active" in listing
    assert kills == [f"kill --kill-whom=main {name}" for name in START_ORDER]
    assert settings.read_text(encoding="utf-8") == text
    send()
    for name in START_ORDER:
        debian.end_service(name)
    start()
    send()

    debian.run(*debian.unit("trace-router.service").command("ExecStop"))
    for name in reversed(START_ORDER):
        debian.end_service(name)
    assert_holds_exactly(cluster.data, traffic)

    files = [path for path in debian.run("dpkg", "-L", "trace-processor").splitlines() if not debian.path(path).is_dir()]
    assert len(files) > 40
    debian.run("dpkg", "--remove", "trace-processor")
    assert [path for path in files if os.path.lexists(debian.path(path))] == [SETTINGS]
    stop, disable, reload = debian.asked_of_systemd()
    # The target comes first: it ends the router, which drains, before the others.
    assert stop.startswith("stop trace-cluster.target ") and {"trace-aggregator.service", "trace-router.socket"} <= set(stop.split())
    assert disable.startswith("disable ") and reload == "daemon-reload"
    assert_holds_exactly(cluster.data, traffic)
    debian.run("dpkg", "--purge", "trace-processor")
    assert not os.path.lexists(debian.path(DATA)) and not os.path.lexists(debian.path("/etc/trace-processor"))
    assert debian.run("getent", "passwd", "trace-processor")


def test_the_tarball_runs_where_it_is_unpacked(packages, tmp_path, contract):
    _, tarball = packages
    run("tar", "-C", tmp_path, "-xf", tarball)
    (directory,) = tmp_path.glob("trace-processor-*")
    cluster = Cluster(tmp_path / "data", None)
    script = directory / "scripts/cluster"
    run(script, "up", "--data", cluster.data, "--grpc", cluster.grpc, "--metrics", cluster.http, env=cluster.environment)
    try:
        programs = {os.readlink(f"/proc/{process}/exe") for process in cluster.processes()}
        assert str(directory / "bin/trace-router") in programs
        traffic = Traffic(contract.messages)
        stub = contract.services.TracerServiceStub(cluster.channel())
        assert stub.SendTraceBatch(traffic.batch(), timeout=30).success
        run(script, "stop", "--data", cluster.data, env=cluster.environment)
    finally:
        cluster.stop(check=False)
    assert_holds_exactly(cluster.data, traffic)


def test_packing_again_gives_the_same_bytes(packages, programs, tmp_path):
    """Elsewhere, with another umask."""
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch"), "LANG": "C.UTF-8", "TZ": "Asia/Tokyo"}
    again = pack(programs, tmp_path / "again", env=environment, umask=0o077)
    for first, second in zip(packages, again):
        assert first.name == second.name
        assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest(), first.name


def test_lintian_finds_nothing(packages):
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not on the PATH; scripts/test installs it")
    # Programs that were built for tests find the Swift runtime where the toolchain is.
    found = run("lintian", "--allow-root", "--fail-on", "none", "--suppress-tags", "custom-library-search-path", packages[0])
    assert found == ""
