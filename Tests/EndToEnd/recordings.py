"""Recordings that real tools make of real programs, and a reader of Chrome traces that shares nothing with the importer."""
import collections
import decimal
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys

PROGRAM = """
import sys, time

def leaf(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

def branch(seconds):
    leaf(seconds)
    leaf(seconds)

for _ in range(int(sys.argv[1])):
    branch(float(sys.argv[2]))
"""

JAX_PROGRAM = """
import sys
import jax
import jax.numpy as jnp

with jax.profiler.trace(sys.argv[1]):
    step = jax.jit(lambda x: jnp.tanh(x @ x).sum())
    for _ in range(3):
        step(jnp.ones((64, 64))).block_until_ready()
"""

C_PROGRAM = """
template <int N> struct Fibonacci { static const long value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value; };
template <> struct Fibonacci<0> { static const long value = 0; };
template <> struct Fibonacci<1> { static const long value = 1; };
template <class T> T add(T a, T b) { return a + b; }
int main() { return add<int>(1, 2) + (int)add<long>(Fibonacci<40>::value, 3) + (int)add<double>(1, 2); }
"""

NODE_PROGRAM = """
const fs = require('fs');
function leaf(n) { let sum = 0; for (let i = 0; i < n; i++) sum += i * i; return sum; }
let total = 0;
for (let i = 0; i < 50; i++) { total += leaf(1000); fs.readFileSync(__filename); }
setTimeout(() => console.log(total), 5);
"""


def run(*command, directory, **environment):
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"


def written(directory, name, text):
    path = directory / name
    path.write_text(text)
    return path


def viztracer(directory):
    program = written(directory, "program.py", PROGRAM)
    run(sys.executable, "-m", "viztracer", "--quiet", "-o", "recording.json", program, "20", "0.00002", directory=directory)
    return directory / "recording.json"


def py_spy(directory):
    """Samples, at each of which calls begin and end; its thread ids have more than 32 bits."""
    program = written(directory, "program.py", PROGRAM)
    tool = pathlib.Path(sys.executable).parent / "py-spy"
    run(
        tool, "record", "--rate", "200", "--format", "chrometrace", "--output", "recording.json", "--",
        sys.executable, program, "100", "0.002", directory=directory,
    )
    return directory / "recording.json"


def jax(directory):
    program = written(directory, "program.py", JAX_PROGRAM)
    run(sys.executable, program, "profile", directory=directory, JAX_PLATFORMS="cpu")
    (recording,) = directory.glob("profile/plugins/profile/*/*.trace.json.gz")
    return recording


def clang(directory):
    """The compiler of the Swift toolchain, else the one that is installed, records itself."""
    written(directory, "program.cc", C_PROGRAM)
    beside = pathlib.Path(os.path.realpath(shutil.which("swift") or "/")).parent / "clang++"
    tool = beside if beside.exists() else "clang++"
    run(tool, "-O2", "-ftime-trace", "-ftime-trace-granularity=0", "-c", "program.cc", directory=directory)
    return directory / "program.json"


def node(directory):
    written(directory, "program.js", NODE_PROGRAM)
    run("node", "--trace-event-categories", "v8,node,node.async_hooks,node.fs.sync", "program.js", directory=directory)
    return directory / "node_trace.1.log"


RECORDERS = {"viztracer": viztracer, "py-spy": py_spy, "jax": jax, "clang": clang, "node": node}

# A call: process and thread as the file names them, function, begin and end in nanoseconds; the end is None where it is missing.
Call = collections.namedtuple("Call", "pid tid name start end")


def events_of(path):
    text = (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8").read()
    document = json.loads(text, parse_float=decimal.Decimal)
    return document["traceEvents"] if isinstance(document, dict) else document


def nanoseconds(microseconds):
    return int((decimal.Decimal(microseconds) * 1000).to_integral_value(decimal.ROUND_HALF_UP))


def calls_of(events):
    """All calls: of X events, and of B and E events paired thread by thread."""
    calls, boundaries = [], collections.defaultdict(list)
    for event in events:
        if event.get("ph") == "X":
            start = nanoseconds(event["ts"])
            duration = nanoseconds(event.get("dur", 0))
            calls.append(Call(event["pid"], event["tid"], event["name"], start, start + duration))
        elif event.get("ph") in ("B", "E"):
            boundaries[event["pid"], event["tid"]].append((nanoseconds(event["ts"]), event["ph"], event.get("name")))
    for (pid, tid), found in boundaries.items():
        stack = []
        for time, phase, name in sorted(found, key=lambda boundary: boundary[0]):
            if phase == "B":
                stack.append((name, time))
                continue
            names = [one for one, _ in stack]
            if not names or name and name not in names:
                continue
            while True:
                inner, start = stack.pop()
                calls.append(Call(pid, tid, inner, start, time))
                if not name or inner == name:
                    break
        calls += [Call(pid, tid, name, start, None) for name, start in stack]
    return calls
