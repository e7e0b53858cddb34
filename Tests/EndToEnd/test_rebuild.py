"""Damaged segments are made again from the log while that is there, and else set aside and reported.

A cluster is killed as a whole with a window that is closed and not published; copies of its directory are damaged and started.
"""
import os
import signal
import subprocess
import threading

import pytest

from cluster import wait_until
from outputs import csv_files, json_files
from test_damage import Template, kill_all


class Unpublished(Template):
    """A window is closed and in checkpoints, and the aggregator stands still before it has merged any of it."""

    def fill(self, cluster):
        for _ in range(2):
            self.send(rounds=40)
            cluster.run("finalize")
        self.send(rounds=40)
        cluster.settled_status()
        self.leave_a_window_unmerged(cluster)
        self.send(rounds=40)
        self.leave_checkpoints()

    def leave_a_window_unmerged(self, cluster):
        before = self.checkpoints()
        os.kill(cluster.supervised_pid("aggregator"), signal.SIGSTOP)
        finalizing = subprocess.Popen(
            [self.programs / "tracectl", "finalize", "--data", self.data],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: all(path.stat().st_mtime_ns > then for path, then in before.items()), "checkpoints behind the barrier"
        )
        finalizing.kill()
        finalizing.wait()


class Trimmed(Unpublished):
    """The log of the unpublished window's begin is gone: all workers have saved what stood there."""

    def leave_a_window_unmerged(self, cluster):
        first = sorted(self.data.glob("log/*.log"))
        # Each router begins a file of its own.
        cluster.run("restart", "router")
        self.send()
        cluster.settled_status()
        super().leave_a_window_unmerged(cluster)
        wait_until(lambda: not any(path.exists() for path in first), "a log that is trimmed")


@pytest.fixture(scope="module")
def template(tmp_path_factory, programs, contract):
    return Unpublished(tmp_path_factory.mktemp("rebuild"), programs, contract)


@pytest.fixture(scope="module")
def undamaged(template, tmp_path_factory):
    """What the unpublished window becomes without damage: contents by name below `output`."""
    cluster = template.copy(tmp_path_factory.mktemp("undamaged") / "data")
    try:
        before = set(published(cluster))
        cluster.up()
        window = unpublished(template)
        wait_until(lambda: is_published(cluster, window), "the window's files")
        return {name: text for name, text in published(cluster).items() if name not in before}
    finally:
        cluster.stop(check=False)
        kill_all(cluster)


def published(cluster):
    return {path.name: path.read_bytes() for path in json_files(cluster.data) + csv_files(cluster.data)}


def is_published(cluster, window):
    try:
        status = cluster.status()
    except (AssertionError, OSError):
        return False  # the aggregator is just being killed
    merged = {entry["resource"]: entry["window"] for entry in status.get("merged", [])}
    return len(merged) == 6 and all(number >= window for number in merged.values())


def segments(data, window):
    return sorted(data.glob(f"segments/*/*_trace_w{window}_r*"))


def unpublished(template):
    """The oldest window that has segments."""
    return min(int(path.name.split("_w")[1].split("_")[0]) for path in template.data.glob("segments/*/*_trace_w*"))


def flip(path):
    """A bit of the last rows: a trace's header is written anew by every merge."""
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    path.write_bytes(content)


def damage(cluster, window, suffixes=(".json", ".csv", ".records")):
    """One segment of each worker; returns how many."""
    chosen = {}
    for path in segments(cluster.data, window):
        if path.suffix in suffixes and path.stat().st_size > 10_000:
            chosen.setdefault(path.parent, path)
    for path in chosen.values():
        flip(path)
    assert chosen
    return len(chosen)


def log_text(cluster, name="aggregator"):
    return "".join(path.read_text(errors="replace") for path in sorted(cluster.data.glob(f"logs/{name}/*")))


def expect_whole(template, cluster, undamaged):
    """Everything acknowledged is published once, the damaged window as it would have been without damage."""
    window = unpublished(template)
    # The next window's end makes checkpoints behind which the log of before this start is trimmed.
    wait_until(lambda: is_published(cluster, window), "the window with damaged segments", 60)
    cluster.run("finalize", "--timeout", "60")
    status = cluster.settled_status()
    template.oracle.check(cluster.data)
    assert status["lost_rows"] == 0
    found = published(cluster)
    assert undamaged and all(found.get(name) == text for name, text in undamaged.items()), (
        [name for name, text in undamaged.items() if found.get(name) != text]
    )
    assert not list(cluster.data.glob("damaged/*"))
    wait_until(lambda: not list(cluster.data.glob("segments/.rebuild/*")), "nothing left of the rebuilds")
    return status


@pytest.mark.parametrize("suffix", [".json", ".csv", ".records"])
def test_a_damaged_segment_is_made_again(template, undamaged, tmp_path, suffix):
    cluster = template.copy(tmp_path / "data")
    window = unpublished(template)
    assert list(cluster.data.glob(f"checkpoints/*.w{window}.kept"))
    if suffix == ".records":
        for path in segments(cluster.data, window):
            if path.suffix == suffix:
                flip(path)
    else:
        damage(cluster, window, (suffix,))
    try:
        cluster.up()
        status = expect_whole(template, cluster, undamaged)
        assert status["rebuilt_rows"] > 0
        metrics = cluster.metrics()
        assert sum(metrics["trace_rebuilt_rows_total"].values()) == status["rebuilt_rows"]
        assert metrics["trace_errors_total"].get((("kind", "segment_damaged"),), 0) == 0
        assert "damaged segments were made again from the log" in log_text(cluster)
        assert not list(cluster.data.glob(f"checkpoints/*.w{window}.kept"))
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)
        kill_all(cluster)


def test_segments_that_are_gone_are_made_again(template, undamaged, tmp_path):
    """`rm segments/*/*`: those of the open window, too, of which the workers go on."""
    cluster = template.copy(tmp_path / "data")
    for path in cluster.data.glob("segments/*/*"):
        path.unlink()
    try:
        cluster.up()
        assert expect_whole(template, cluster, undamaged)["rebuilt_rows"] > 0
    finally:
        cluster.stop(check=False)
        kill_all(cluster)


@pytest.mark.parametrize("victim", ["aggregator", "function.0", "rebuild"])
def test_whoever_dies_meanwhile_nothing_is_lost(template, undamaged, tmp_path, victim):
    cluster = template.copy(tmp_path / "data")
    damage(cluster, unpublished(template))
    killed = threading.Event()
    ended = threading.Event()

    def kill():
        while not ended.is_set() and not killed.is_set():
            if not list(cluster.data.glob("segments/.rebuild/*/attempts")):
                continue
            rebuilding = [pid for pid, command in cluster.processes().items() if "--rebuild" in command]
            pid = next(iter(rebuilding), None) if victim == "rebuild" else cluster.supervised_pid(victim)
            if rebuilding and pid:
                os.kill(pid, signal.SIGKILL)
                killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        cluster.up()
        assert expect_whole(template, cluster, undamaged)["rebuilt_rows"] > 0
        assert killed.is_set()
    except BaseException:
        print(log_text(cluster))
        raise
    finally:
        ended.set()
        killer.join()
        cluster.stop(check=False)
        kill_all(cluster)


def expect_set_aside(cluster, count, reason):
    try:
        cluster.up()
        cluster.run("finalize", "--timeout", "60")
        status = cluster.settled_status()
        assert status["lost_rows"] > 0 and status["rebuilt_rows"] == 0
        assert cluster.metrics()["trace_errors_total"][(("kind", "segment_damaged"),)] == count
        assert len(list(cluster.data.glob("damaged/*"))) == count
        text = log_text(cluster)
        assert text.count("published without its rows") == count and text.count(reason) >= count, text
        wait_until(lambda: not list(cluster.data.glob("segments/.rebuild/*")), "nothing left of the attempts")
    finally:
        cluster.stop(check=False)
        kill_all(cluster)


def test_without_its_checkpoint_a_segment_is_set_aside(template, tmp_path):
    cluster = template.copy(tmp_path / "data")
    count = damage(cluster, unpublished(template))
    for path in cluster.data.glob("checkpoints/*.kept"):
        path.unlink()
    expect_set_aside(cluster, count, "no checkpoint of the window was kept")


def test_with_a_damaged_checkpoint_a_segment_is_set_aside(template, tmp_path):
    cluster = template.copy(tmp_path / "data")
    count = damage(cluster, unpublished(template))
    for path in cluster.data.glob("checkpoints/*.kept"):
        # Where it is the worker's newest checkpoint, too, that has a mirror.
        flip(path)
    expect_set_aside(cluster, count, "is damaged")


def test_without_the_log_a_segment_is_set_aside(tmp_path, programs, contract):
    template = Trimmed(tmp_path, programs, contract)
    cluster = template.copy(tmp_path / "data")
    count = damage(cluster, unpublished(template))
    expect_set_aside(cluster, count, "the log begins at LSN")
