"""scripts/demo: that what it plants is found where it says, and that nothing is left of it."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from cluster import ROOT, SETTING_VARIABLES, wait_until


class Demo:
    """A run of scripts/demo without a terminal."""

    def __init__(self, directory, programs, *arguments):
        directory.mkdir()
        self.directory = directory
        environment = {name: value for name, value in os.environ.items() if name not in SETTING_VARIABLES}
        environment |= {"TRACE_BIN_DIR": str(programs), "TMPDIR": str(directory)}
        self.output = open(directory.parent / "output", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [ROOT / "scripts/demo", *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )

    def said(self):
        return pathlib.Path(self.output.name).read_text(encoding="utf-8")

    def wait_for(self, pattern, seconds):
        """The first match of a pattern in what it says."""

        def match():
            text = self.said()
            assert self.process.poll() is None, text
            return re.search(pattern, text)

        return wait_until(match, pattern, seconds)

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(timeout=120)

    def left(self):
        """Files and processes that are left of it."""
        processes = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = os.readlink(entry / "cwd")
            except OSError:
                continue
            if command and f"{self.directory}/" in f"{command} {where}/":
                processes.append(command)
        return [*self.directory.iterdir(), *processes]


@pytest.fixture
def demo(tmp_path, programs):
    begun = []

    def begin(*arguments):
        begun.append(Demo(tmp_path / "temporary", programs, *arguments))
        return begun[0]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.end()
        one.output.close()
        assert one.left() == []


def get(address, endpoint, **parameters):
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"http://{address}/api/v1/{endpoint}?{query}", timeout=60) as answer:
        return json.load(answer)


def span(moment):
    """The console's address, and the parameters of a moment's."""
    parts = urllib.parse.urlsplit(moment)
    assert parts.path == "/moment"
    return parts.netloc, dict(urllib.parse.parse_qsl(parts.query))


def test_what_is_planted_is_found_where_it_says(demo):
    run = demo()
    address, spell = span(run.wait_for(r"\nThe program was slow from .*\n +(http\S+)", 180)[1])
    assert set(spell) == {"from", "to", "host"} and float(spell["to"]) - float(spell["from"]) < 30
    incidents = get(address, "anomalies", rule="slow_call", **spell)["incidents"]
    # A busy machine makes other calls slow as well.
    worst = max(incidents, key=lambda incident: incident["severity"])
    assert re.match(r"Shop\.(discount|take_order)", worst["message"])
    assert float(spell["from"]) < worst["begin_ts_ns"] / 1e9 < float(spell["to"])
    summary = get(address, "summary", resource="function", **{name: spell[name] for name in ("from", "to")})
    busiest = summary["summaries"][0]["tables"]["functions"]["top"]["busiest"][0]
    assert busiest["function"].startswith("Shop.discount_from_list"), busiest
    # The leak shows without a window's end.
    address, leak = span(run.wait_for(r"\nThe program leaks memory.*\n +(http\S+)", 180)[1])
    assert set(leak) == {"from", "to", "host", "pid"}
    found = get(address, "anomalies", rule="leak", **leak)["incidents"]
    assert [(incident["resource"], incident["pid"]) for incident in found] == [("memory", int(leak["pid"]))]
    assert run.end() == 0
    assert run.left() == []
    assert "Traceback" not in run.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_can_be_ended_while_it_starts(demo, number):
    run = demo()
    run.wait_for("Starting a cluster", 60)
    wait_until(lambda: list(run.directory.glob("trace-demo-*/data/run/*")), "a cluster that starts")
    assert run.end(number) == 0
    assert run.left() == []
    assert "Traceback" not in run.said()


def test_it_ends_by_itself(demo):
    began = time.monotonic()
    run = demo("--duration", "1")
    assert run.process.wait(timeout=120) == 0
    assert time.monotonic() - began >= 1
    assert run.left() == [] and "It ends in 1 s." in run.said()


def test_its_help_and_its_mistakes():
    help = subprocess.run([ROOT / "scripts/demo", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--duration SECONDS" in help and "Ctrl-C" in help
    for wrong in (["--duration", "0"], ["--duration", "soon"], ["surplus"]):
        done = subprocess.run([ROOT / "scripts/demo", *wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stdout == ""
