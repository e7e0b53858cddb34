#!/usr/bin/env python3
"""Checks Chrome trace files by the rules that trace viewers apply when they load one.

usage: check_trace.py [--allow-open] FILE...

A line of JSON a file says how many events of which kind it holds and what a viewer would drop, misread or refuse to load.
The exit code is 1 if there is any such problem. Files ending in .gz are unpacked. With --allow-open an array may lack its
closing bracket, as that of a file in progress does.

The rules, as Perfetto's importer has them:
- The file is UTF-8 that begins with `{"` or `[{"`, and JSON without NaN, Infinity or escaped surrogates.
- Each event has a known one-letter `ph`, a numeric `ts` in microseconds since the epoch (metadata needs none), and a `pid`.
  `pid` and `tid` fit into 32 bits without sign. Our files are sorted by `ts` as well.
- A complete event (X) has a numeric `dur`, an asynchronous one (b, e, n) an `id`, a thread's instant a `tid`.
- A counter (C) has arguments, which are numbers. Names in metadata (M) are not empty.
- B and E of a thread nest, at most 512 deep. An E without its B, or a B that stays open, is counted but is no problem.
"""
import argparse
import collections
import gzip
import json
import pathlib
import re
import sys

KNOWN_PHASES = frozenset("BEXiIRCMbenstfNODPT(")
ID_MAX = 2**32 - 1
NESTING_MAX = 512
# Microseconds since the epoch between the years 2001 and 2096.
TIMES = range(10**15, 4 * 10**15)
# An odd number of backslashes before the u makes it an escape; JSON of ours holds characters above U+FFFF as they are.
ESCAPED_SURROGATE = re.compile(r"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")


class Refused(Exception):
    """The whole file would not be loaded."""


def read_events(path, allow_open):
    data = pathlib.Path(path).read_bytes()
    try:
        text = (gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8")
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise Refused(str(error)) from None
    begin = "".join(text[:200].split())
    if not begin.startswith(('{"', '[{"')):
        raise Refused('a viewer recognises a trace by {" or [{" at its begin')
    if allow_open and begin[0] == "[" and not text.rstrip().endswith("]"):
        text = text.rstrip().removesuffix(",") + "]"
    if ESCAPED_SURROGATE.search(text):
        raise Refused("an escaped surrogate")
    try:
        document = json.loads(text, parse_constant=no_constant)
    except ValueError as error:
        raise Refused(f"no JSON: {error}") from None
    events = document if isinstance(document, list) else document.get("traceEvents")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Refused("no array of events")
    return events


def no_constant(name):
    raise Refused(f"{name} is no JSON")


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_id(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= ID_MAX


class TraceCheck:
    """Takes the events of one file in their order."""

    def __init__(self):
        self.kinds = collections.Counter()
        self.problems = collections.Counter()
        self.example = {}
        self.last_ts = None
        self.open_calls = collections.defaultdict(list)

    def problem(self, text, event):
        self.problems[text] += 1
        self.example.setdefault(text, event)

    def require(self, condition, text, event):
        if not condition:
            self.problem(text, event)
        return condition

    def take(self, event):
        phase = event.get("ph")
        if not self.require(isinstance(phase, str) and phase in KNOWN_PHASES, "no or unknown ph", event):
            return
        self.kinds[phase] += 1
        arguments = event.get("args", {})
        if not self.require(isinstance(arguments, dict), "args is not an object", event):
            return
        for key in ("pid", "tid"):
            self.require(key not in event or is_id(event[key]), f"{key} is not a uint32", event)
        if phase == "M":
            named = event.get("name") not in ("process_name", "thread_name") or arguments.get("name")
            self.require(named, "metadata without args.name", event)
        elif self.take_time(event):
            self.require("pid" in event, "no pid", event)
            self.take_phase(phase, event, arguments)

    def take_time(self, event):
        ts = event.get("ts")
        if not self.require(is_number(ts), "no numeric ts", event):
            return False
        # Small numbers are times since a start, as recordings of other tools have them.
        self.require(ts <= 10**12 or TIMES.start <= ts < TIMES.stop, "ts is not in microseconds since the epoch", event)
        self.require(self.last_ts is None or self.last_ts <= ts, "not sorted by ts", event)
        self.last_ts = ts
        return True

    def take_phase(self, phase, event, arguments):
        if phase in "iIR":
            self.require(event.get("s", "t") != "t" or "tid" in event, "thread instant without tid", event)
        elif phase == "C":
            self.require(arguments, "counter without args", event)
            self.require(all(map(is_number, arguments.values())), "counter argument is not a number", event)
        elif phase == "X":
            self.require(is_number(event.get("dur")), "X without dur", event)
        elif phase in "ben":
            self.require("id" in event or "id2" in event, "async event without id", event)
        elif phase in "BE":
            self.take_call(phase, event)

    def take_call(self, phase, event):
        stack = self.open_calls[event.get("pid"), event.get("tid")]
        name = event.get("name")
        if phase == "B":
            stack.append(name)
            self.require(len(stack) <= NESTING_MAX, f"B nested deeper than {NESTING_MAX}", event)
        elif name not in stack:
            self.kinds["E without B"] += 1
        else:
            while stack.pop() != name:
                self.kinds["closed by a later E"] += 1

    def report(self):
        self.kinds["open at end"] = sum(map(len, self.open_calls.values()))
        return {"kinds": dict(self.kinds), "problems": dict(self.problems), "example": self.example}


def check(path, allow_open=False):
    """What there is to say about a file; `problems` is empty where viewers take it whole."""
    try:
        events = read_events(path, allow_open)
    except Refused as refusal:
        return {"file": path, "problems": {str(refusal)[:200]: 1}}
    found = TraceCheck()
    for event in events:
        found.take(event)
    return {"file": path, "events": len(events), **found.report()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--allow-open", action="store_true", help="an array may lack its closing bracket")
    arguments = parser.parse_args()
    reports = [check(path, arguments.allow_open) for path in arguments.files]
    for report in reports:
        print(json.dumps(report, ensure_ascii=False))
    sys.exit(1 if any(report["problems"] for report in reports) else 0)


if __name__ == "__main__":
    main()
