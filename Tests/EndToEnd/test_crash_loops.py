"""A process that does not stay up, as one that the kernel kills for want of memory, is told of, and its starts slow down."""
import json
import os
import signal
import time
import urllib.error
import urllib.request

import pytest

from cluster import wait_until


def kill_whenever_up(cluster, name, until, seconds=60):
    """Ends the process with SIGKILL as soon as it is there, until the condition holds; returns how often."""
    kills, last = 0, None
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"{kills} kills, and still not"
        pid = cluster.supervised_pid(name)
        if pid and pid != last:
            # The run script becomes the process: before that it may be waiting out its delay.
            command = open(f"/proc/{pid}/cmdline", "rb").read() if os.path.exists(f"/proc/{pid}") else b""
            if b"/run" in command.split(b"\0")[0] or b"bash" in command:
                time.sleep(0.05)
                continue
            os.kill(pid, signal.SIGKILL)
            kills, last = kills + 1, pid
        time.sleep(0.05)
    return kills


def readiness(cluster):
    try:
        with urllib.request.urlopen(f"http://{cluster.http}/readyz", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def recent_ends(cluster, name):
    return cluster.metrics()["trace_process_recent_ends"][("process", name),]


@pytest.mark.parametrize("name", ["cpu.0", "router"])
def test_a_process_that_is_killed_again_and_again_is_told_of(cluster, name):
    assert cluster.status()["problems"] == [] and recent_ends(cluster, name) == 0
    kill_whenever_up(cluster, name, lambda: cluster.status()["problems"])
    status = cluster.status()
    assert not status["ready"]
    for words in (name, "SIGKILL", "memory", "--workers"):
        assert words in status["problems"][0], status["problems"]
    entry = status["router"] if name == "router" else next(w for w in status["workers"] if w["name"] == name)
    assert entry["recent_ends"] >= 5 and entry["last_end"] == "signal 9 (SIGKILL)", entry
    # Also once it is up again, as long as it may only be between two ends.
    wait_until(lambda: cluster.pid(name), f"{name} is up again")
    assert not cluster.status()["ready"] and readiness(cluster) == 503
    assert recent_ends(cluster, name) >= 5
    shown = cluster.run("status").stdout
    assert f"{name} does not stay up" in shown, shown
    # The status may still show the process that was killed last; the delay is logged before the next one starts.
    log = cluster.data / f"logs/{name}/current"
    wait_until(lambda: "starting again in" in log.read_text(), f"a delayed start of {name}")
    wait_until(lambda: cluster.status()["ready"], f"{name} has settled", 40)
    assert readiness(cluster) == 200


def test_an_aggregator_that_is_killed_again_and_again_is_told_of(cluster):
    def problem():
        return "aggregator does not stay up" in cluster.run("status", check=False).stderr

    kill_whenever_up(cluster, "aggregator", problem)
    status = json.loads(cluster.run("status", "--json").stdout)
    assert not status["ready"]
    wait_until(lambda: cluster.status()["ready"], "the aggregator has settled", 60)
