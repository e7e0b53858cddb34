"""The checker of traces: each rule of viewers that it knows, it can find broken."""
import gzip
import json

import pytest

from check_trace import check

pytestmark = pytest.mark.smoke

TIME = 1_760_000_000_000_000
PLAIN = {"name": "f", "ph": "i", "ts": TIME, "pid": 1, "tid": 1}


def problems(tmp_path, text, allow_open=False):
    path = tmp_path / "trace.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(check(str(path), allow_open)["problems"])


def of_events(tmp_path, *events):
    return problems(tmp_path, json.dumps({"traceEvents": list(events)}, ensure_ascii=False))


def test_a_sound_trace_is_taken(tmp_path):
    events = [
        {"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "größe 😀"}},
        {**PLAIN, "ph": "B"}, {**PLAIN, "ts": TIME + 0.5}, {**PLAIN, "ph": "E", "ts": TIME + 1},
        {**PLAIN, "ph": "C", "args": {"value": 1.5}, "ts": TIME + 2}, {**PLAIN, "ph": "X", "dur": 1, "ts": TIME + 3},
        {**PLAIN, "ph": "b", "id": 7, "ts": TIME + 4}, {**PLAIN, "name": 'say \\ud800', "ts": TIME + 5},
    ]
    assert of_events(tmp_path, *events) == []
    packed = tmp_path / "trace.json.gz"
    packed.write_bytes(gzip.compress((tmp_path / "trace.json").read_bytes()))
    report = check(str(packed))
    assert report["events"] == len(events) and not report["problems"] and report["kinds"]["open at end"] == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ph": "Z"}, "no or unknown ph"),
        ({"ph": "BE"}, "no or unknown ph"),
        ({"ph": None}, "no or unknown ph"),
        ({"args": [1]}, "args is not an object"),
        ({"pid": 2**32}, "pid is not a uint32"),
        ({"tid": -1}, "tid is not a uint32"),
        ({"tid": "main"}, "tid is not a uint32"),
        ({"ts": "1"}, "no numeric ts"),
        ({"ts": True}, "no numeric ts"),
        ({"ts": TIME // 1000}, "ts is not in microseconds since the epoch"),
        ({"ph": "C"}, "counter without args"),
        ({"ph": "C", "args": {"value": "1"}}, "counter argument is not a number"),
        ({"ph": "X"}, "X without dur"),
        ({"ph": "e"}, "async event without id"),
        ({"ph": "M", "name": "thread_name", "args": {"name": ""}}, "metadata without args.name"),
    ],
)
def test_an_event_that_breaks_a_rule_is_found(tmp_path, change, problem):
    assert of_events(tmp_path, {**PLAIN, **change}) == [problem]


def test_what_is_missing_out_of_order_or_too_deep_is_found(tmp_path):
    def without(key):
        return {name: value for name, value in PLAIN.items() if name != key}

    assert of_events(tmp_path, without("pid")) == ["no pid"]
    assert of_events(tmp_path, without("tid")) == ["thread instant without tid"]
    assert of_events(tmp_path, PLAIN, {**PLAIN, "ts": TIME - 1}) == ["not sorted by ts"]
    begin = {**PLAIN, "ph": "B"}
    assert of_events(tmp_path, *[begin] * 512) == []
    assert of_events(tmp_path, *[begin] * 513) == ["B nested deeper than 512"]


def test_calls_that_do_not_pair_are_counted(tmp_path):
    def call(phase, name):
        return {**PLAIN, "ph": phase, "name": name}

    path = tmp_path / "trace.json"
    calls = [call("B", "a"), call("B", "b"), call("E", "a"), call("E", "c"), call("B", "d")]
    path.write_text(json.dumps(calls))
    kinds = check(str(path))["kinds"]
    assert kinds == {"B": 3, "E": 2, "closed by a later E": 1, "E without B": 1, "open at end": 1}


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "{}", "[1]", '{"traceEvents": 1}', '{"traceEvents": [1]}', '{"traceEvents": [,{}]}',
        '{"traceEvents": [{"ts": NaN}]}', '{"traceEvents": [{"ts": Infinity}]}', b'{"traceEvents": [{"name": "\xff"}]}',
        '{"traceEvents": [{"name": "\\ud83d\\ude00"}]}',
    ],
)
def test_a_file_that_viewers_refuse_is_refused(tmp_path, text):
    assert len(problems(tmp_path, text)) == 1


def test_an_open_array_is_taken_only_with_leave(tmp_path):
    text = f"[{json.dumps(PLAIN)},\n"
    assert problems(tmp_path, text) != []
    assert problems(tmp_path, text, allow_open=True) == []
