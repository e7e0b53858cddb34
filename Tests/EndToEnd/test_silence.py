"""A process that stands still is reported in status, metrics and log, and so is its return."""
import contextlib
import os
import signal

import pytest

from cluster import wait_until


@contextlib.contextmanager
def standing_still(cluster, name):
    pid = cluster.supervised_pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def logged(cluster, by, words, process):
    log = (cluster.data / f"logs/{by}/current").read_text(errors="replace").lower()
    return any(words in line and f"process={process} " in line for line in log.splitlines())


def up(cluster, name):
    labels = () if name == "router" else (("worker", name),)
    return cluster.metrics()["trace_router_up" if name == "router" else "trace_worker_up"][labels]


@pytest.mark.parametrize("name", ["function.0", "router"])
def test_a_process_that_stands_still_is_reported(cluster, name):
    assert up(cluster, name) == 1
    with standing_still(cluster, name):
        wait_until(lambda: cluster.pid(name) is None, f"a status without {name}")
        assert not cluster.status()["ready"]
        wait_until(lambda: up(cluster, name) == 0, f"metrics without {name}")
        wait_until(lambda: logged(cluster, "aggregator", "silent", name), f"the silence of {name} in the log")
    wait_until(lambda: cluster.status()["ready"], f"the return of {name}")
    assert up(cluster, name) == 1
    wait_until(lambda: logged(cluster, "aggregator", "heard again", name), f"the return of {name} in the log")


def test_an_aggregator_that_stands_still_is_reported(cluster):
    wait_until(lambda: cluster.status()["ready"], "a cluster that is ready")
    with standing_still(cluster, "aggregator"):
        status = cluster.status()
        assert not status["ready"] and status["aggregator"]["pid"] is None
        wait_until(lambda: logged(cluster, "router", "silent", "aggregator"), "the silence of the aggregator in the log")
    wait_until(lambda: cluster.status()["ready"], "the return of the aggregator")
    wait_until(lambda: logged(cluster, "router", "heard again", "aggregator"), "its return in the log")
