"""Planned restarts, upgrades, orderly and disorderly ends, and scaling that is interrupted; all under load."""
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time

import grpc
import pytest

from cluster import ROOT, Cluster, wait_until
from outputs import assert_holds_exactly
from traffic import Traffic

PROGRAMS = ("trace-router", "trace-worker", "trace-aggregator", "trace-console", "tracectl")


class Agents:
    """Agents that never ask twice: each sends one batch after the other on a channel of its own, without
    deadline, and gives up at the first error."""

    def __init__(self, cluster, contract, count=4):
        self.stopping = threading.Event()
        self.acknowledged = 0
        self.errors = []
        self.lock = threading.Lock()
        self.traffics = []
        self.threads = []
        for index in range(count):
            processes = range(4001 + 10 * index, 4004 + 10 * index)
            traffic = Traffic(contract.messages, 1_760_000_000_000_000 + index * 10_000_000_000, processes)
            stub = contract.services.TracerServiceStub(cluster.channel())
            thread = threading.Thread(target=self._run, args=(traffic, stub), daemon=True)
            self.traffics.append(traffic)
            self.threads.append(thread)
            thread.start()

    def _run(self, traffic, stub):
        while not self.stopping.is_set():
            batch = traffic.batch(rounds=1)
            try:
                assert stub.SendTraceBatch(batch).success
            except grpc.RpcError as error:
                self.errors.append(f"{error.code()}: {error.details()}")
                return
            with self.lock:
                self.acknowledged += 1

    def advance(self, batches=20):
        target = self.acknowledged + batches
        wait_until(lambda: self.errors or self.acknowledged >= target, f"{batches} more acknowledged batches", 60)
        assert not self.errors

    def finish(self):
        """All that was sent, once every call is answered."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive()
        assert not self.errors
        return self.traffics


class Everything:
    """Several traffics as one."""

    def __init__(self, traffics):
        self.sent = {
            resource: [ts for traffic in traffics for ts in traffic.sent[resource]] for resource in traffics[0].sent
        }
        self.completed_calls = [cookie for traffic in traffics for cookie in traffic.completed_calls]


@pytest.fixture
def agents(cluster, contract):
    agents = Agents(cluster, contract)
    yield agents
    agents.stopping.set()


def assert_all_is_there(cluster, agents):
    traffics = agents.finish()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, Everything(traffics))


# Planned restarts


def test_no_agent_notices_a_planned_restart_of_the_router(cluster, agents):
    for _ in range(5):
        agents.advance()
        before = cluster.supervised_pid("router")
        cluster.run("restart", "router")
        assert cluster.supervised_pid("router") != before
    agents.advance()
    assert_all_is_there(cluster, agents)


def test_agents_that_connect_while_the_router_is_gone_wait(cluster, contract):
    service = cluster.data / "run/services/router"
    subprocess.run(["s6-svc", "-d", service], check=True)
    os.kill(cluster.supervised_pid("router"), signal.SIGKILL)
    wait_until(lambda: cluster.supervised_pid("router") is None, "the router gone")
    traffic = Traffic(contract.messages)
    call = contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch.future(traffic.batch())
    with pytest.raises(grpc.FutureTimeoutError):
        call.result(timeout=1)
    subprocess.run(["s6-svc", "-u", service], check=True)
    assert call.result(timeout=30).success
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_the_socket_is_the_routers_only(cluster):
    """Nothing but the router and its supervisors holds the port open."""
    port = cluster.grpc.rpartition(":")[2]
    inodes = {
        line.split()[9]
        for line in open("/proc/net/tcp", encoding="ascii")
        if line.split()[1].endswith(f":{int(port):04X}") and line.split()[3] == "0A"
    }
    assert len(inodes) == 1
    socket = f"socket:[{inodes.pop()}]"
    holders = set()
    for pid, command in cluster.processes().items():
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            if os.readlink(descriptor.path) == socket:
                holders.add(command.split()[0].rpartition("/")[2])
    assert holders == {"trace-router", "s6-svscan", "s6-supervise"}


def test_a_rolling_restart_loses_and_repeats_nothing(cluster, agents):
    agents.advance()
    before = {name: cluster.supervised_pid(name) for name in ("router", "aggregator", "function.0", "gpu.0")}
    cluster.run("restart")
    for name, pid in before.items():
        assert cluster.supervised_pid(name) not in (None, pid)
    agents.advance()
    assert_all_is_there(cluster, agents)


def test_an_upgrade_under_load(programs, contract, tmp_path):
    installed = tmp_path / "bin"
    installed.mkdir()

    def install():
        for name in PROGRAMS:
            shutil.copy2(programs / name, installed / f".{name}")
            os.rename(installed / f".{name}", installed / name)

    install()
    cluster = Cluster(tmp_path / "data", installed)
    try:
        cluster.up()
        agents = Agents(cluster, contract)
        agents.advance()
        install()
        old = [os.readlink(f"/proc/{pid}/exe") for pid in _own_processes(cluster)]
        assert old and all(path.endswith("(deleted)") for path in old)
        cluster.run("restart")
        new = [os.readlink(f"/proc/{pid}/exe") for pid in _own_processes(cluster)]
        assert len(new) == len(old) and all(path.startswith(f"{installed}/trace-") for path in new)
        assert not any(path.endswith("(deleted)") for path in new)
        agents.advance()
        assert_all_is_there(cluster, agents)
    finally:
        cluster.stop(check=False)
    assert not cluster.processes()


def _own_processes(cluster):
    return [pid for pid, command in cluster.processes().items() if "/trace-" in command.split()[0]]


def test_a_stream_is_acknowledged_and_then_ends(cluster, contract):
    """What was taken is acknowledged before the restart; the rest is sent again and counts once."""
    traffic = Traffic(contract.messages)
    batches = [traffic.batch(rounds=1, client_id="streaming", sequence=n) for n in range(1, 301)]
    acknowledged = 0
    restarts = 0
    ended_early = 0
    while acknowledged < len(batches):
        outgoing = queue.SimpleQueue()
        for batch in batches[acknowledged:]:
            outgoing.put(batch)
        outgoing.put(None)
        # Slow enough for a restart to come in between.
        def paced():
            while (batch := outgoing.get()) is not None:
                time.sleep(0.005)
                yield batch

        stream = contract.services.TracerServiceStub(cluster.channel()).StreamTraceBatches(paced())
        restart = None
        try:
            for ack in stream:
                assert ack.success
                assert ack.sequence == acknowledged + 1
                acknowledged += 1
                if restarts < 2 and restart is None and acknowledged >= 50 * (restarts + 1):
                    restarts += 1
                    restart = threading.Thread(target=cluster.run, args=("restart", "router"))
                    restart.start()
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.ABORTED, error
            assert "send what was not acknowledged" in error.details()
            ended_early += 1
        if restart is not None:
            restart.join()
    assert ended_early == 2
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


# Ends


def test_stop_under_load_keeps_all_that_was_acknowledged(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    acknowledged = []
    running = threading.Event()

    def send():
        while True:
            batch = traffic.batch(rounds=1)
            try:
                assert stub.SendTraceBatch(batch).success
            except grpc.RpcError:
                return
            acknowledged.append(batch)
            running.set()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert running.wait(30)
    # Not `cluster.stop()`, which closes the agent's channel first, and with it a call whose batch may be taken.
    cluster.run("stop")
    thread.join(60)
    assert not thread.is_alive()
    assert not cluster.processes()
    # The last batch came too late, and so got an error and is not taken.
    without = Traffic(contract.messages)
    without.sent = {resource: ts[: -_PER_ROUND[resource]] for resource, ts in traffic.sent.items()}
    without.completed_calls = traffic.completed_calls[:-2]
    assert len(acknowledged) * 12 == sum(map(len, without.sent.values()))
    assert_holds_exactly(cluster.data, without)


_PER_ROUND = {"function": 4, "cpu": 1, "memory": 1, "network": 1, "io": 1, "gpu": 4}


def test_stop_says_when_not_everything_is_written(cluster, contract):
    traffic = Traffic(contract.messages)
    cluster.environment["DRAIN_TIMEOUT"] = "3"
    argv = cluster.data / "run/services/gpu.0/argv"
    argv.write_text("/bin/false\n")
    os.kill(cluster.supervised_pid("gpu.0"), signal.SIGKILL)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    stopped = cluster.stop(check=False)
    assert stopped.returncode == 1
    assert "the log keeps it" in stopped.stderr
    assert not cluster.processes()
    cluster.up()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_commands_on_a_wedged_cluster_say_what_they_wait_for(cluster, contract):
    """A worker stands still: finalize, restart and stop name it every few seconds, and end when they were asked to."""
    traffic = Traffic(contract.messages)
    pid = cluster.supervised_pid("function.0")
    os.kill(pid, signal.SIGSTOP)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    wait_until(lambda: cluster.pid("function.0") is None, "a status without function.0")
    done = cluster.run("finalize", "--timeout", "7", check=False, seconds=30)
    said = done.stderr.splitlines()
    assert done.returncode == 1
    assert any("Waiting for 5 s" in line and "function.0 sends no heartbeat" in line for line in said), said
    assert any("not done within 7 s" in line and "restart NAME" in line for line in said), said
    done = cluster.run("restart", "cpu.0", "--timeout", "6", check=False, seconds=60)
    assert done.returncode == 1 and "function.0 sends no heartbeat" in done.stderr, done.stderr
    started = time.monotonic()
    done = cluster.run("stop", "--timeout", "6", check=False, seconds=90)
    assert done.returncode == 1 and "function.0 sends no heartbeat" in done.stderr, done.stderr
    assert "the log keeps it" in done.stderr and not cluster.processes()
    # The drain's bound, and what s6 gives a process that does not end by itself.
    assert time.monotonic() - started < 60
    cluster.up()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_a_timeout_is_a_number_of_seconds(cluster):
    for timeout in ("0", "-1", "soon", ""):
        done = cluster.run("stop", f"--timeout={timeout}", check=False)
        assert done.returncode == 2, (timeout, done.stderr)
    assert cluster.status()["ready"]


@pytest.fixture
def front(programs, tmp_path):
    cluster = Cluster(tmp_path / "data", programs)
    process = subprocess.Popen(
        [ROOT / "scripts/cluster", "up", "--foreground", "--data", cluster.data, "--grpc", cluster.grpc,
         "--metrics", cluster.http],
        env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    try:
        for line in process.stdout:
            if "  stop" in line:
                break
        yield cluster, process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        cluster.stop(check=False)


def test_ctrl_c_in_front_stops_in_order(front, contract):
    cluster, process = front
    traffic = Traffic(contract.messages)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert not cluster.processes()
    assert_holds_exactly(cluster.data, traffic)


def test_a_second_ctrl_c_ends_at_once_and_the_next_start_goes_on(front, contract):
    cluster, process = front
    # A worker that does not go on: the drain cannot end.
    os.kill(cluster.supervised_pid("function.0"), signal.SIGSTOP)
    traffic = Traffic(contract.messages)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    os.killpg(process.pid, signal.SIGINT)
    for line in process.stderr:
        if "Writing out everything" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 1
    wait_until(lambda: not cluster.processes(), "every process gone")
    cluster.up()
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


# Scaling that is interrupted


def _workers(cluster):
    return {worker["name"] for worker in cluster.status()["workers"]}


@pytest.mark.parametrize("victim", ["router", "aggregator", "function.0", "function.2"])
def test_a_kill_during_a_scale(cluster, agents, victim):
    agents.advance()
    scale = threading.Thread(target=lambda: results.append(cluster.run("scale", "function=3,cpu=2", check=False)))
    results = []
    scale.start()
    wait_until(lambda: cluster.supervised_pid("function.2") is not None, "the new worker")
    if victim == "router":
        agents.stopping.set()  # they would notice
        for thread in agents.threads:
            thread.join(60)
    pid = wait_until(lambda: cluster.supervised_pid(victim), f"{victim} up")
    os.kill(pid, signal.SIGKILL)
    scale.join(150)
    assert not scale.is_alive()
    if results[0].returncode != 0:
        cluster.run("scale", "function=3,cpu=2")
    assert {"function.0", "function.1", "function.2", "cpu.1"} <= _workers(cluster)
    cluster.run("scale", "function=1,cpu=1")
    assert not {"function.1", "cpu.1"} & _workers(cluster)
    assert_all_is_there(cluster, agents)


@pytest.mark.parametrize("phase", ["Starting", "Moving", "moved"])
def test_a_script_killed_during_a_scale(cluster, agents, phase):
    agents.advance()
    script = subprocess.Popen(
        [ROOT / "scripts/cluster", "scale", "function=3,io=2", "--data", cluster.data],
        env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )
    for line in script.stderr:
        if phase in line:
            break
    os.killpg(script.pid, signal.SIGKILL)
    script.communicate()
    agents.advance()
    # Something else first: what was interrupted is completed with it.
    cluster.run("scale", "cpu=2")
    assert {"function.2", "io.1", "cpu.1"} <= _workers(cluster)
    agents.advance()
    assert_all_is_there(cluster, agents)


def test_a_start_completes_an_interrupted_scale(cluster, contract):
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    script = subprocess.Popen(
        [ROOT / "scripts/cluster", "scale", "function=3", "--data", cluster.data],
        env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )
    for line in script.stderr:
        if "moved" in line:
            break
    os.killpg(script.pid, signal.SIGKILL)
    script.communicate()
    cluster.stop()
    cluster.up()
    assert "function.2" in _workers(cluster)
    stub = contract.services.TracerServiceStub(cluster.channel())
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def test_stop_does_not_wait_for_a_scale_that_waits(cluster, contract):
    """The scale waits for a worker that stands still, and so does the drain; the next start completes both."""
    traffic = Traffic(contract.messages)
    contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(traffic.batch(), timeout=30)
    os.kill(cluster.supervised_pid("function.0"), signal.SIGSTOP)
    scale = subprocess.Popen(
        [ROOT / "scripts/cluster", "scale", "function=2", "--data", cluster.data],
        env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL,
    )
    for line in scale.stderr:
        if "Moving" in line:
            break
    cluster.environment["DRAIN_TIMEOUT"] = "1"
    done = cluster.stop(check=False)
    assert done.returncode == 1 and "could not be drained" in done.stderr, done.stderr
    said = scale.communicate(timeout=30)[1]
    assert scale.returncode == 1 and "is to stop" in said and "repeat the same scale to continue" in said, said
    assert not cluster.processes()
    cluster.environment["DRAIN_TIMEOUT"] = "60"
    cluster.up()
    assert "function.1" in _workers(cluster)
    cluster.run("scale", "function=1")  # an order to stop holds for what it met
    cluster.run("finalize")
    assert_holds_exactly(cluster.data, traffic)


def _checkpoint_lsn(cluster, name):
    """The field behind magic, checksum and version."""
    return int.from_bytes((cluster.data / f"checkpoints/{name}.checkpoint").read_bytes()[12:20], "little")


def test_a_retired_worker_comes_back_to_a_log_that_has_gone_on(cluster, contract):
    """What the log held when it went has been trimmed: it begins again where it gets its slots."""
    # Many processes, so that every worker has some.
    traffic = Traffic(contract.messages, processes=range(4001, 4041))
    stub = contract.services.TracerServiceStub(cluster.channel())

    def send():
        assert stub.SendTraceBatch(traffic.batch(rounds=40), timeout=30, wait_for_ready=True).success

    send()
    for _ in range(2):  # the second time a worker that was retired, came back and was retired again
        cluster.run("scale", "function=3,io=2")
        send()
        cluster.run("scale", "function=1,io=1")
        retired = max(_checkpoint_lsn(cluster, name) for name in ("function.1", "function.2", "io.1"))

        def begin():
            """The log's. Each start of the router begins a file, and each window's checkpoints free the older ones."""
            send()
            cluster.run("restart", "router")
            cluster.run("finalize")
            return min(int(path.stem) for path in cluster.data.glob("log/*.log"))

        wait_until(lambda: begin() > retired, "a log trimmed beyond the retired workers' checkpoints", 120)
    cluster.run("scale", "function=3,io=2")
    assert {"function.1", "function.2", "io.1"} <= _workers(cluster)
    send()
    cluster.run("finalize")
    status = cluster.settled_status()
    assert status["written_events"] == status["received_events"] == traffic.events
    assert_holds_exactly(cluster.data, traffic)


def test_slots_are_shown_and_their_moves_measured(cluster, agents):
    def slots(resource):
        shown = json.loads(cluster.tracectl("slots", "--json", "--data", cluster.data).stdout)["slots"]
        return [holding for holding in shown if holding["resource"] == resource]

    assert [(holding["worker"], holding["ranges"]) for holding in slots("io")] == [("io.0", "0-255")]
    agents.advance()
    cluster.run("scale", "function=3")
    held = {holding["worker"]: holding for holding in slots("function")}
    assert {name: holding["slots"] for name, holding in held.items()} == {
        "function.0": 86, "function.1": 85, "function.2": 85,
    }
    assert held["function.0"]["since_lsn"] < held["function.1"]["since_lsn"] == held["function.2"]["since_lsn"]
    for holding in held.values():
        assert holding["worker"] in cluster.tracectl("slots", "--data", cluster.data).stdout
    agents.advance()
    wait_until(
        lambda: cluster.metrics().get("trace_router_slot_move_seconds_count", {}).get(()) == 170,
        "the pauses of 170 slots on /metrics",
    )
    cluster.run("scale", "function=1")
    assert sorted(holding["slots"] for holding in slots("function")) == [86, 170]
    assert "Slots moved" in cluster.run("logs", "router").stdout
    assert_all_is_there(cluster, agents)
