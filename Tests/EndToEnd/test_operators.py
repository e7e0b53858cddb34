"""What operators do by mistake, and what they are told then."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from cluster import ROOT, free_port, wait_until
from outputs import assert_holds_exactly
from traffic import Traffic

PROGRAMS = ("trace-router", "trace-worker", "trace-aggregator", "trace-console", "tracectl", "trace-bench", "agent-emulator")


def send(cluster, contract, traffic):
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)


# The directory of sockets


def remove(directory):
    """As often as it takes: those who work in it may write something new meanwhile."""
    wait_until(lambda: subprocess.run(["rm", "-rf", directory], capture_output=True).returncode == 0, "removed")


def test_a_cluster_whose_run_is_removed_ends_and_goes_on_from_the_log(stopped, contract):
    stopped.up("--workers", "function=2")
    traffic = Traffic(contract.messages)
    send(stopped, contract, traffic)
    remove(stopped.data / "run")
    wait_until(lambda: not stopped.processes(), "all processes ended by themselves", 30)
    # The process that notices it first ends the others, too.
    assert re.search(r"run/\S+ was removed", stopped.logs())
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(stopped.grpc.split(":")[1])), 5)
    assert "No cluster runs" in stopped.run("status", check=False).stdout
    done = stopped.up()
    # What it had remembered is lost; the slots are not.
    assert "the workers are those that have saved something, function=2," in done.stderr
    send(stopped, contract, traffic)
    stopped.stop()
    assert_holds_exactly(stopped.data, traffic)


def test_a_stop_at_once_finds_the_processes_of_a_removed_run(stopped, contract):
    stopped.up()
    traffic = Traffic(contract.messages)
    send(stopped, contract, traffic)
    # Stopped processes notice nothing.
    pids = list(stopped.processes())
    for name in ("router", "aggregator"):
        subprocess.run(["kill", "-STOP", str(stopped.supervised_pid(name))], check=True)
    remove(stopped.data / "run")
    done = stopped.run("status", check=False)
    assert done.returncode == 1 and "run was removed under the cluster" in done.stderr
    for pid in pids:
        subprocess.run(["kill", "-CONT", str(pid)], check=False, capture_output=True)
    done = stopped.run("stop", check=False)
    assert done.returncode in (0, 1) and not stopped.processes()
    stopped.up()
    stopped.stop()
    assert_holds_exactly(stopped.data, traffic)


def test_a_removed_run_and_an_up_at_once(stopped, contract):
    stopped.up()
    traffic = Traffic(contract.messages)
    send(stopped, contract, traffic)
    remove(stopped.data / "run")
    stopped.up()
    send(stopped, contract, traffic)
    stopped.stop()
    assert_holds_exactly(stopped.data, traffic)


def test_a_run_that_was_removed_in_part_is_ended_by_stop(stopped, contract):
    stopped.up()
    traffic = Traffic(contract.messages)
    send(stopped, contract, traffic)
    run = stopped.data / "run"
    for name in ("cpu.0", "router"):
        (run / "services" / name / "supervise/control").unlink()
        (run / "services" / name / "run").unlink()
    (run / "services/.s6-svscan/control").unlink()
    stopped.run("stop", check=False)
    assert not stopped.processes()
    stopped.up()
    stopped.stop()
    assert_holds_exactly(stopped.data, traffic)


def test_two_routers_never_share_a_data_directory(cluster, programs):
    (cluster.data / "run/cluster.lock").unlink()
    done = subprocess.run(
        [programs / "trace-router", "--data", cluster.data, "--grpc", f"127.0.0.1:{free_port()}"],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 1
    assert re.search(r"Another router \(process \d+\) uses this data directory", done.stderr)
    # Its own router has ended meanwhile, as its lock is gone, and was started again.
    wait_until(lambda: (cluster.data / "run/cluster.lock").exists(), "the lock")
    wait_until(lambda: cluster.status()["ready"], "a router again", 60)


# Ports


@pytest.mark.parametrize("option", ["--grpc", "--metrics"])
def test_a_port_that_is_taken_is_said_at_once_with_its_holder(stopped, option):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        ports = {"--grpc": stopped.grpc, "--metrics": stopped.http} | {option: taken}
        began = time.monotonic()
        done = stopped.run("up", *(word for pair in ports.items() for word in pair), check=False)
        assert done.returncode == 1 and time.monotonic() - began < 20
        own = pathlib.Path("/proc/self/comm").read_text().strip()
        pid = pathlib.Path("/proc/self").resolve().name
        assert f"{taken} ({option}) can't be listened on" in done.stderr
        assert f"It is taken by {own} (process {pid}" in done.stderr
        assert f"choose another port with {option}" in done.stderr
    assert not stopped.processes()
    stopped.up()


# Settings


def test_up_on_a_running_cluster_says_what_differs_and_how_to_apply_it(stopped):
    stopped.up("--retain-age", "7d")
    assert stopped.run("up").returncode == 0
    other = f"127.0.0.1:{free_port()}"
    done = stopped.run("up", "--metrics", other, "--retain-age=8d", "--workers", "cpu=2", check=False)
    assert done.returncode == 1
    assert f"--metrics: it runs with {stopped.http}, not with {other}" in done.stderr
    assert "--retain-age: it runs with 7d, not with 8d" in done.stderr
    assert "scripts/cluster stop" in done.stderr and "scripts/cluster scale cpu=2" in done.stderr
    (stopped.data / "cluster.json").write_text(json.dumps({"csv_formula_guard": True}))
    done = stopped.run("up", check=False)
    assert done.returncode == 1
    assert "--csv-formula-guard: it runs with off, not with on" in done.stderr
    assert "--metrics" not in done.stderr
    assert stopped.run("up", "--frobnicate", "1", check=False).returncode == 2


# Words that are no commands


@pytest.mark.parametrize(
    "arguments, meant",
    [(["statsu"], "status"), (["finalise"], "finalize"), (["up", "--retain-agee", "7d"], "--retain-age"),
     (["stop", "--timeuot", "3"], "--timeout")],
)
def test_the_script_says_what_was_probably_meant(stopped, arguments, meant):
    done = stopped.run(*arguments, check=False)
    assert done.returncode == 2 and f"did you mean {meant}?" in done.stderr


@pytest.mark.parametrize(
    "arguments, meant", [(["statsu"], "status"), (["log", "verfy"], "verify"), (["config", "chekc"], "check")]
)
def test_tracectl_says_what_was_probably_meant(stopped, arguments, meant):
    done = stopped.tracectl(*arguments, check=False)
    assert done.returncode == 2 and f"did you mean {meant}?" in done.stderr


def test_every_program_and_script_says_its_version_and_commit(programs):
    """Scripts know the commit where there is a history, programs where their build was given it."""
    version = re.search(r'version = "(.+)"', (ROOT / "Sources/Model/TraceModel/BuildInfo.swift").read_text()).group(1)
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    # `package` says the version of the packages, and the demo has none of its own.
    others = {"package", "demo"}
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.name not in others]
    for command in [programs / name for name in PROGRAMS] + scripts:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30)
        said = re.fullmatch(re.escape(version) + r"(?: \(([0-9a-f]{12})(?:\+changes)?\))?\n", done.stdout)
        assert done.returncode == 0 and said, (command, done)
        assert said[1] == (commit or None) or command not in scripts, (command, done.stdout)
    given = subprocess.run(
        [ROOT / "scripts/cluster", "--version"], env={**os.environ, "TRACE_COMMIT": "v1"}, capture_output=True, text=True
    )
    assert given.stdout == f"{version} (v1)\n"


# Waiting


def test_without_a_server_a_command_says_so_and_what_to_do(programs, tmp_path, contract):
    batch = tmp_path / "batch.pb"
    batch.write_bytes(Traffic(contract.messages).batch().SerializeToString())
    server = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [programs / "tracectl", "send", batch, "--server", server], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        began = time.monotonic()
        lines = [process.stderr.readline() for _ in range(2)]
        assert time.monotonic() - began < 20
        for line in lines:
            assert re.match(rf"Waiting for \d+ s: {server}: ", line), line
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def test_finalize_says_what_it_waits_for(cluster, contract):
    send(cluster, contract, Traffic(contract.messages))
    pid = cluster.supervised_pid("cpu.0")
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    try:
        done = cluster.run("finalize", "--timeout", "8", check=False)
        assert done.returncode == 1
        assert re.search(r"Waiting for 5 s: .*cpu\.0", done.stderr), done.stderr
        assert "not done within 8 s" in done.stderr and "scripts/cluster restart NAME" in done.stderr
    finally:
        subprocess.run(["kill", "-CONT", str(pid)], check=True)
    cluster.run("finalize")


# Warnings


def test_what_goes_on_is_logged_once(cluster, contract):
    """An aggregator that can't save, and can't publish: both are tried again all the time."""
    csv = cluster.data / "output/csv"
    cluster.data.joinpath("output/csv").mkdir(parents=True, exist_ok=True)
    traffic = Traffic(contract.messages)
    csv.rmdir()
    csv.write_text("a file where a directory has to be")
    send(cluster, contract, traffic)
    cluster.run("finalize", "--timeout", "15", check=False)
    log = (cluster.data / "logs/aggregator/current").read_text()
    for resource in ("function", "cpu"):
        said = [line for line in log.splitlines() if "could not be merged" in line and f"resource={resource} " in line]
        assert len(said) == 1, said
    csv.unlink()
    cluster.run("finalize", "--timeout", "60")
    assert_holds_exactly(cluster.data, traffic)
