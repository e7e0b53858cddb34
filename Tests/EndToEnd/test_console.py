"""The console: every endpoint against what was sent, hostile names, slow clients, and that it costs nobody else."""
import gzip
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

from check_trace import check
from cluster import ROOT, free_port, wait_until
from outputs import assert_holds_exactly
from test_profile import START_NS, Program, profiles, read_pprof
from traffic import RESOURCES, Traffic

LIMIT = re.compile(rb'("metadata":\{"resource":"all","server":"[^"]*",(?:"\w+_ns":\d+,)*(?:"pid":\d+,)?(?:"host":"[^"]*",)?)')

HOSTILE = ["<script>alert(1)</script>", "quote\"'`\\", "\u202ertl\u202c عربي", "x" * 4096]


class Console:
    """Asks a cluster's console."""

    def __init__(self, address):
        self.address = address

    def request(self, path, headers=None, method="GET"):
        host, port = self.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, endpoint, status=200, **parameters):
        query = urllib.parse.urlencode(parameters)
        found, headers, body = self.request(f"/api/v1/{endpoint}{'?' + query if query else ''}")
        assert found == status, (endpoint, found, body)
        assert headers["content-type"] == "application/json"
        return json.loads(body)


@pytest.fixture
def console(stopped):
    address = f"127.0.0.1:{free_port()}"
    said = stopped.up("--console", address).stdout
    # The console is what people are to open, and so it comes first.
    assert f"look at   http://{address}/" in said.splitlines()[1]
    return Console(address)


@pytest.fixture
def sent(stopped, console, contract):
    """A window of all resources, of two hosts."""
    traffic = Traffic(contract.messages)
    stub = contract.services.TracerServiceStub(stopped.channel())
    for host in ("web-1", "db-1"):
        assert stub.SendTraceBatch(traffic.batch(host=host), timeout=30).success
    stopped.run("finalize")
    return traffic


def limited(document, limit):
    """The document with the limit among its metadata."""
    return LIMIT.sub(lambda match: match[0] + f'"limit_bytes":{limit},'.encode(), document, count=1)


def conforms(value, schema, whole):
    """Checks a value by the part of JSON Schema that the description uses; returns what is wrong with it."""
    if "$ref" in schema:
        return conforms(value, whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]], whole)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
             "null": type(None)}
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and not any(isinstance(value, kinds[kind]) for kind in wanted):
        return [f"{value!r} is no {wanted}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{value!r} is not in {schema['enum']}"]
    wrong = []
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        wrong += [f"{name} is missing" for name in schema.get("required", []) if name not in value]
        for name, part in value.items():
            more = schema.get("additionalProperties", True)
            if name in properties:
                wrong += [f"{name}: {text}" for text in conforms(part, properties[name], whole)]
            elif more is False:
                wrong.append(f"{name} is not described")
            elif isinstance(more, dict):
                wrong += [f"{name}: {text}" for text in conforms(part, more, whole)]
    if isinstance(value, list):
        for part in value:
            wrong += conforms(part, schema.get("items", {}), whole)
    return wrong


def test_every_answer_is_as_described(console, sent):
    description = console.get("openapi.json")
    checked = 0
    for path, methods in description["paths"].items():
        if "{" in path or path == "/openapi.json":
            continue
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        needed = {each["name"]: ".." for each in methods["get"]["parameters"] if each["required"]}
        assert conforms(console.get(path[1:], **needed), schema, description) == [], path
        error = console.get(path[1:], status=400, surprise="1", **needed)
        assert conforms(error, {"$ref": "#/components/schemas/Error"}, description) == []
        checked += 1
    assert checked == 13
    # The check can fail.
    schema = {"$ref": "#/components/schemas/Files"}
    assert conforms({"files": [{"name": 1}], "bytes": 0}, schema, description)


def test_hosts_processes_and_summaries_are_those_that_were_sent(stopped, console, sent):
    hosts = {host["host"]: host for host in console.get("hosts")["hosts"]}
    assert set(hosts) == {"web-1", "db-1"}
    assert sum(host["events"] for host in hosts.values()) == sent.events
    assert all(host["resources"] == list(RESOURCES) and host["processes"] == 3 for host in hosts.values())
    first, last = (console.get("hosts")["hosts"][0][end] for end in ("first_ts_ns", "last_ts_ns"))
    stamps = [stamp for stamps in sent.sent.values() for stamp in stamps]
    assert (first // 1000, last // 1000) == (min(stamps), max(stamps))

    processes = console.get("processes")["processes"]
    assert sum(process["events"] for process in processes) == sent.events
    assert {(process["host"], process["pid"]) for process in processes} == {
        (host, pid) for host in hosts for pid in (4001, 4002, 4003)
    }
    one = console.get("processes", host="db-1", pid=4002)["processes"]
    assert [(process["host"], process["pid"]) for process in one] == [("db-1", 4002)]

    for endpoint, parameters, arguments in (
        ("hosts", {}, []),
        ("processes", {"host": "db-1", "limit": 2}, ["--host", "db-1", "--rows", "2"]),
        ("processes", {"to": "1760000000"}, ["--to", "1760000000"]),
    ):
        printed = stopped.tracectl(endpoint, "--data", str(stopped.data), "--json", *arguments).stdout
        assert console.get(endpoint, **parameters) == json.loads(printed)
    table = stopped.tracectl("hosts", "--data", str(stopped.data)).stdout.splitlines()
    assert len(table) == 3 and table[1].endswith("db-1") and table[2].endswith("web-1")

    summaries = {entry["resource"]: entry for entry in console.get("summary", top=2)["summaries"]}
    assert {name: entry["events"] for name, entry in summaries.items()} == {
        name: len(stamps) for name, stamps in sent.sent.items()
    }
    assert all(
        len(rows) <= 2 for entry in summaries.values() for table in entry["tables"].values() for rows in table["top"].values()
    )
    # A span after everything has nothing.
    later = last // 10**9 + 100
    assert console.get("hosts", **{"from": later})["hosts"] == []
    assert console.get("summary", **{"from": later})["summaries"] == []
    assert console.get("files", **{"from": later})["files"] == []


def test_series_are_those_of_the_aggregator(stopped, console, sent):
    """The charts' points come through the console as they are; who asks wrongly hears what the aggregator says."""
    def points():
        return console.get("series", name="memory", host="web-1")["series"][0]["values"]

    wait_until(lambda: any(value is not None for value in points()), "a point of the host's memory")
    span = {"from": int(time.time()) - 100, "to": int(time.time()) - 1, "host": "web-1"}
    query = urllib.parse.urlencode([("name", "io"), ("name", "memory"), *span.items()])
    status, _, body = console.request(f"/api/v1/series?{query}")
    assert status == 200 and json.loads(body) == json.loads(stopped.get(f"/api/v1/series?{query}"))
    assert [series["name"] for series in json.loads(body)["series"]] == ["io", "memory"]
    assert "name=heat is unknown" in console.get("series", status=400, name="heat")["error"]["message"]


def test_files_are_listed_and_served(stopped, console, sent):
    answer = console.get("files")
    files = {file["name"]: file for file in answer["files"]}
    on_disk = {str(path.relative_to(stopped.data / "output")): path for path in stopped.data.glob("output/[a-z]*/*")}
    assert set(files) == set(on_disk)
    for name, path in on_disk.items():
        assert files[name]["bytes"] == path.stat().st_size
        status, headers, body = console.request(f"/api/v1/files/{name}")
        assert (status, body) == (200, path.read_bytes())
        assert headers["x-content-type-options"] == "nosniff" and "html" not in headers["content-type"]
    assert {file["host"] for file in files.values() if file["kind"] == "json"} == {"web-1", "db-1"}
    assert {file["kind"] for file in console.get("files", kind="csv")["files"]} == {"csv"}
    assert {file["resource"] for file in console.get("files", resource="io")["files"]} == {"io"}
    web = console.get("files", host="web-1", kind="json")["files"]
    assert web and {file["host"] for file in web} == {"web-1"}
    few = console.get("files", limit=3)
    assert len(few["files"]) == 3 and not few["complete"] and answer["complete"]


def test_a_part_of_a_file(stopped, console, sent):
    path = max(stopped.data.glob("output/json/*"), key=lambda path: path.stat().st_size)
    content, url = path.read_bytes(), f"/api/v1/files/json/{path.name}"
    _, headers, _ = console.request(url, method="HEAD")
    assert headers["content-length"] == str(len(content)) and headers["accept-ranges"] == "bytes"
    tag = headers["etag"]
    for text, begin, end in (("0-9", 0, 10), ("100-", 100, len(content)), ("-7", len(content) - 7, len(content))):
        status, headers, body = console.request(url, {"Range": f"bytes={text}"})
        assert (status, body) == (206, content[begin:end])
        assert headers["content-range"] == f"bytes {begin}-{end - 1}/{len(content)}"
    assert console.request(url, {"Range": f"bytes={len(content)}-"})[0] == 416
    assert console.request(url, {"Range": "bytes=0-9", "If-Range": tag})[0] == 206
    assert console.request(url, {"Range": "bytes=0-9", "If-Range": '"other"'})[::2] == (200, content)
    assert console.request(url, {"If-None-Match": tag})[::2] == (304, b"")


@pytest.mark.parametrize(
    "name",
    ["../secret", "json/../../secret", "..%2F..%2Fsecret", "json/..%2f..%2fsecret", "json/%2e%2e", ".merge/final", "json",
     "json/", "json//x", "/etc/passwd", "json/.tmp-x", "json/link", "json/%00", "json/missing.json"],
)
def test_no_name_leads_elsewhere(stopped, console, sent, name):
    link = stopped.data / "output/json/link"
    link.unlink(missing_ok=True)
    link.symlink_to(stopped.data / "secret")
    assert console.request(f"/api/v1/files/{name}")[0] == 404
    link.unlink()


def test_hostile_names_are_data(stopped, console, contract):
    """Names of hosts, processes and functions come back as they were sent, in JSON and nowhere else."""
    messages = contract.messages
    stub = contract.services.TracerServiceStub(stopped.channel())
    for number, name in enumerate(HOSTILE):
        batch = messages.TraceBatch(semantics=messages.CUMULATIVE, host=name[:200])
        for kind in (0, 1):
            batch.trace_data.add(
                timestamp=f"{1_760_000_000 + number}.{kind:06d}", event_type=kind, cookie=number + 1,
                function_name=name, pid=4101, tgid=4001, call_count=1, avg_duration_us=5,
            )
        batch.cpu_trace_data.add(
            timestamp=f"{1_760_000_000 + number}.5", pid=4001, ppid=1, comm=name[:100], cpu_id=1, oncpu_time=5,
            utilization=1.5,
        )
        assert stub.SendTraceBatch(batch, timeout=30).success
    stopped.run("finalize")
    assert {host["host"] for host in console.get("hosts")["hosts"]} == {name[:200] for name in HOSTILE}
    for name in HOSTILE:
        found = console.get("processes", host=name[:200])["processes"]
        assert [process["host"] for process in found] == [name[:200]]
        assert console.get("files", host=name[:200], kind="json")["files"]
        assert console.get("anomalies", host=name, rule=name)["incidents"] == []
    # A refusal repeats what was asked for, but never as a page.
    status, headers, _ = console.request("/api/v1/hosts?" + urllib.parse.urlencode({HOSTILE[0]: 1}))
    assert (status, headers["content-type"]) == (400, "application/json")


def test_call_paths_are_those_of_tracectl(stopped, console, contract):
    """top, flame and diff give the numbers and forms of tracectl, for spans, windows, hosts and processes."""
    program = Program(contract.messages, seed=11)
    stub = contract.services.TracerServiceStub(stopped.channel())
    for _ in range(2):
        for host in ("web-1", "web-2"):
            assert stub.SendTraceBatch(program.batch(host, 300), timeout=30).success
        stopped.run("finalize")

    def by_tracectl(*arguments):
        return stopped.tracectl(*arguments, "--data", str(stopped.data)).stdout

    def by_console(endpoint, **parameters):
        """The answer without what became of the open window, which tracectl leaves alone."""
        answer = console.get(endpoint, **parameters)
        for name in ("coverage", "against"):
            assert name not in answer or answer[name].pop("open_window") in ("apart", "closed", "recent")
        return answer

    first, second = [path.name.removeprefix("profile_").removesuffix(".pb.gz") for path in profiles(stopped)]
    end = f"{max(program.now.values()) / 1e9 + 1:.3f}"
    part = [f"{START_NS / 1e9 + offset:.3f}" for offset in (0.01, 0.02)]
    for parameters, arguments in (
        ({}, []),
        ({"from": part[0], "to": part[1]}, ["--from", part[0], "--to", part[1]]),
        ({"host": "web-2", "pid": 4003}, ["--host", "web-2", "--pid", "4003"]),
        ({"from": "1760000000", "to": end}, ["--from", "1760000000", "--to", end]),
        ({"window": second}, ["--window", second]),
    ):
        assert by_console("top", by="calls", **parameters) == json.loads(
            by_tracectl("top", "--json", "--by", "calls", "--rows", "100", *arguments)
        )
        assert by_console("flame", **parameters) == json.loads(by_tracectl("flame", "--json", *arguments))
        for form in ("folded", "speedscope", "svg"):
            query = urllib.parse.urlencode({"format": form, **parameters})
            status, headers, body = console.request(f"/api/v1/flame?{query}")
            assert (status, body.decode()) == (200, by_tracectl("flame", "--format", form, *arguments))
    status, headers, body = console.request("/api/v1/flame?format=pprof", {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in headers and headers["content-type"] == "application/gzip"
    sums = {(host, pid): 0 for host in ("web-1", "web-2") for pid in (4001, 4002, 4003, 4004, 4005)}
    for (host, _, process, _), (_, nanoseconds) in read_pprof(gzip.decompress(body)).items():
        sums[host, int(process.removeprefix("pid-"))] += nanoseconds
    for (host, pid, _), (_, nanoseconds) in program.sums().items():
        sums[host, pid] -= nanoseconds
    assert not any(sums.values())

    tree = console.get("flame")
    assert tree["total_ns"] == sum(nanoseconds for _, nanoseconds in program.sums().values())
    assert by_console("diff", a=first, b=second) == json.loads(
        by_tracectl("diff", "--json", "--rows", "100", "--window", second, "--against-window", first)
    )
    hosts = by_console("diff", a="..@web-1", b=f"1760000000..{end}@web-2")
    assert hosts["against"]["self_ms"] * 1e6 == pytest.approx(
        sum(nanoseconds for (host, *_), (_, nanoseconds) in program.sums().items() if host == "web-1")
    )
    for wrong in ({"a": "5..4", "b": ".."}, {"a": "..", "b": "x..y"}, {"b": ".."}):
        console.get("diff", status=400, **wrong)
    console.get("flame", status=400, format="png")
    console.get("top", status=400, by="name")


def test_a_trace_of_all_resources_is_that_of_tracectl(stopped, console, sent, tmp_path):
    """Plain and compressed, cut by its limit or not; a client that goes away ends it."""
    url = "/api/v1/trace"
    for query, arguments in (
        ("", []),
        ("?host=db-1&pid=4002", ["--host", "db-1", "--pid", "4002"]),
        ("?from=1760000000.05&to=1760000000.2", ["--from", "1760000000.05", "--to", "1760000000.2"]),
        ("?limit=65536", ["--limit", "65536"]),
    ):
        path = tmp_path / "trace.json"
        report = json.loads(
            stopped.tracectl("trace", "--data", str(stopped.data), "--output", str(path), "--json", *arguments).stdout
        )
        assert report["events"]["function"] > 0
        whole = path.read_bytes() if "limit" in query else limited(path.read_bytes(), 64 << 20)
        status, headers, body = console.request(url + query)
        assert (status, body) == (200, whole), query
        assert headers["transfer-encoding"] == "chunked" and "content-encoding" not in headers
        status, headers, body = console.request(url + query, {"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == whole
        assert check(str(path))["problems"] == {}
    cut = json.loads(console.request(url + "?limit=65536")[2])["metadata"]
    assert not cut["complete"] and sum(cut["left_out"].values()) > 0 and cut["cut_at_ns"] > 0
    status, headers, body = console.request(url, method="HEAD")
    assert (status, body, headers["content-type"]) == (200, b"", "application/json")
    for wrong in ("limit=1", "limit=x", "from=noon", "pid=-1", "surprise=1"):
        assert console.request(f"{url}?{wrong}")[0] == 400


def test_traces_that_nobody_reads_end(stopped, console, contract):
    """A client that goes away in the middle frees the thread; one that reads slowly leaves others theirs."""
    stub = contract.services.TracerServiceStub(stopped.channel())
    traffic = Traffic(contract.messages)
    for _ in range(3):
        assert stub.SendTraceBatch(traffic.batch(rounds=600), timeout=60).success
    stopped.run("finalize")
    host, port = console.address.split(":")

    def unread():
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(b"GET /api/v1/trace HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        return client

    slow = [unread(), unread()]
    try:
        # Their places are taken, but those of other queries are not.
        assert console.request("/api/v1/trace")[0] == 503
        console.get("hosts")
    finally:
        for client in slow:
            client.close()
    wait_until(lambda: console.request("/api/v1/trace?limit=65536")[0] == 200, "a trace after others have ended")


def test_a_span_up_to_now_has_what_was_just_sent(stopped, console, contract):
    """The open window is closed for it, at most every ten seconds, and the answer says so."""
    stub = contract.services.TracerServiceStub(stopped.channel())

    def send():
        now = int(time.time() * 1e6)
        assert stub.SendTraceBatch(Traffic(contract.messages, clock_us=now).batch(rounds=1), timeout=30).success
        return now / 1e6

    began = time.monotonic()
    now = send()
    answer = console.get("top", **{"from": f"{now - 1:.3f}", "to": f"{now + 60:.3f}"})
    assert answer["coverage"]["open_window"] == "closed" and time.monotonic() - began < 10
    assert {row["function"]: row["calls"] for row in answer["functions"]} == {"compute": 1, "helper<int>": 1}
    later = send()
    answer = console.get("top", **{"from": f"{now - 1:.3f}"})
    assert time.monotonic() - began > 10 or answer["coverage"]["open_window"] == "recent"
    # Once the time is over, a trace has both.
    def of_both():
        status, headers, body = console.request(f"/api/v1/trace?from={now - 1:.3f}")
        assert status == 200 and headers["trace-open-window"] in ("closed", "recent")
        metadata = json.loads(body)["metadata"]
        return headers["trace-open-window"] == "closed" and metadata["events"]["function"] == 8
    wait_until(of_both, "the second batch in a trace", 30)
    assert console.get("flame", to=f"{later - 600:.3f}")["coverage"]["open_window"] == "apart"


def test_findings_are_followed(stopped, console, contract):
    """tracectl anomalies --follow prints those of windows that are there, then further ones as they are raised, each once."""
    stub = contract.services.TracerServiceStub(stopped.channel())

    def send(begin):
        batch = contract.messages.TraceBatch(semantics=contract.messages.CUMULATIVE, host="web-1")
        for kind, second in ((0, begin), (1, begin + 5)):
            batch.trace_data.add(timestamp=f"{second}", event_type=kind, cookie=begin, function_name="f", pid=9, tgid=7)
        assert stub.SendTraceBatch(batch, timeout=30).success

    send(1_760_000_000)
    stopped.run("finalize")
    follower = subprocess.Popen(
        [stopped.programs / "tracectl", "anomalies", "--follow", "--json", "--rule", "slow_call", "--data", stopped.data],
        stdout=subprocess.PIPE, text=True,
    )

    def followed():
        finding = json.loads(follower.stdout.readline())
        assert next(iter(finding)) == "rule"
        return finding["ts"]

    try:
        assert followed() == 1_760_000_005_000_000
        # The window of these is open.
        for second in (1_760_000_100, 1_760_000_200):
            send(second)
            assert followed() == (second + 5) * 1_000_000
        stopped.run("finalize")
        # What the aggregator did not say comes with the window.
        aggregator = stopped.pid("aggregator")
        send(1_760_000_300)
        assert followed() == 1_760_000_305_000_000
        os.kill(aggregator, signal.SIGKILL)
        wait_until(lambda: stopped.pid("aggregator") not in (None, aggregator), "another aggregator")
        send(1_760_000_400)
        stopped.run("finalize")
        assert followed() == 1_760_000_405_000_000
        # It ends where nobody reads any more.
        follower.stdout.close()
        assert follower.wait(timeout=30) == 0
    finally:
        follower.kill()
        follower.wait()


def test_anomalies_are_grouped_into_incidents(stopped, console, contract):
    """Slow operations raise findings; those that follow one another closely are one incident."""
    messages = contract.messages
    stub = contract.services.TracerServiceStub(stopped.channel())
    batch = messages.TraceBatch(semantics=messages.CUMULATIVE, host="web-1")
    for second in range(200):
        batch.io_trace_data.add(
            timestamp=f"{1_760_000_000 + second}.0", pid=4001, comm="db", operation="READ", bytes=512,
            latency_ms=0.25 if second < 190 else 60_000.0, device="sda", major=8, minor=1, read_bytes=512 * second,
            read_ops=second,
        )
    assert stub.SendTraceBatch(batch, timeout=30).success
    stopped.run("finalize")
    lines = [
        json.loads(line) for path in stopped.data.glob("output/anomalies/*.jsonl") for line in path.read_text().splitlines()
    ]
    assert lines, "the traffic raises findings"
    answer = console.get("anomalies")
    assert answer["findings"] == len(lines) == sum(incident["count"] for incident in answer["incidents"])
    begins = [incident["begin_ts_ns"] for incident in answer["incidents"]]
    assert begins == sorted(begins, reverse=True)
    groups = {}
    for line in sorted(lines, key=lambda line: line["ts"]):
        group = groups.setdefault((line["rule"], line["host"], line["pid"]), [[]])
        if group[-1] and line["ts"] - group[-1][-1]["ts"] > 60e6:
            group.append([])
        group[-1].append(line)
    expected = sorted((rule, host, pid, len(one)) for (rule, host, pid), group in groups.items() for one in group)
    assert expected == sorted(
        (incident["rule"], incident["host"], incident["pid"], incident["count"]) for incident in answer["incidents"]
    )
    rule = lines[0]["rule"]
    assert {incident["rule"] for incident in console.get("anomalies", rule=rule)["incidents"]} == {rule}
    assert console.get("anomalies", to="1759999999")["incidents"] == []
    assert console.get("anomalies", resource="gpu")["incidents"] == []


def test_pages_run_only_their_own_scripts(console):
    for path in ("/", "/moment", "/compare", "/anomalies", "/files"):
        status, headers, body = console.request(path)
        assert status == 200 and headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
        page = body.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=|https?://", page)
        for name in re.findall(r'(?:src|href)="(/[^"]*)"', page):
            assert console.request(name)[0] == 200, name
        assert console.request(path, {"If-None-Match": headers["etag"]})[0] == 304
    for script in (ROOT / "deploy/console").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text()), script
    assert console.request("/", method="POST")[0] == 405
    status, headers, body = console.request("/api/v1/openapi.json", {"Accept-Encoding": "gzip"})
    assert status == 200


def test_large_answers_are_compressed_for_those_who_take_it(console, sent):
    status, headers, body = console.request("/api/v1/summary", {"Accept-Encoding": "gzip"})
    assert status == 200 and headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body)) == console.get("summary")


def test_a_browser_is_led_to_the_console(stopped, console):
    host, port = stopped.http.split(":")

    def first(accept, name):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/", headers={"Accept": accept, "Host": name})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location")

    assert first("text/html,*/*;q=0.8", f"localhost:{port}") == (302, f"http://{console.address}/")
    assert first("*/*", f"localhost:{port}") == (200, None)
    # Who has come by another name cannot reach the loopback interface.
    assert first("text/html", f"server.example:{port}") == (200, None)


def test_slow_clients_cost_only_themselves(stopped, console, sent):
    host, port = console.address.split(":")
    path = max(stopped.data.glob("output/json/*"), key=lambda path: path.stat().st_size)
    slow = []
    try:
        for number in range(64):
            client = socket.create_connection((host, int(port)), timeout=30)
            slow.append(client)
            # Half send a request byte by byte, half do not read what they get.
            if number % 2:
                client.sendall(b"GET /api/v1/hosts HTTP/1.1\r\nHo")
            else:
                client.sendall(f"GET /api/v1/files/json/{path.name} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 20)
        for _ in range(5):
            began = time.monotonic()
            console.get("hosts")
            assert time.monotonic() - began < 5
    finally:
        for client in slow:
            client.close()


def test_a_killed_console_comes_back_and_nobody_else_notices(stopped, console, contract, sent):
    stub = contract.services.TracerServiceStub(stopped.channel())
    for _ in range(3):
        pid = wait_until(lambda: stopped.supervised_pid("console"), "a console")
        os.kill(pid, signal.SIGKILL)
        assert stub.SendTraceBatch(sent.batch(), timeout=30).success
        assert stopped.status()["ready"]
        wait_until(lambda: stopped.supervised_pid("console") not in (None, pid), "another console")
    wait_until(lambda: (stopped.status()["console"] or {}).get("up"), "the console is up in the status")
    wait_until(lambda: stopped.status()["console"]["pid"] == stopped.supervised_pid("console"), "its new process id")
    stopped.settled_status()
    stopped.run("finalize")
    assert_holds_exactly(stopped.data, sent)
    said = stopped.run("status").stdout
    assert re.search(rf"^Console +pid \d+, http://{console.address}/$", said, re.MULTILINE)
    stopped.stop()
    assert not stopped.processes()


def test_the_console_gives_way(stopped, console):
    pid = stopped.supervised_pid("console")
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[16]) == 10  # nice
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"Max data size +536870912 +536870912", limits)


def test_a_taken_port_is_said_and_off_leaves_the_console_out(stopped):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        done = stopped.run("up", "--grpc", stopped.grpc, "--metrics", stopped.http, "--console", taken, check=False)
        assert done.returncode == 1
        assert f"{taken} (--console) can't be listened on" in done.stderr
        assert "choose another port with --console" in done.stderr
    said = stopped.up("--console", "off").stdout
    assert f"look at   http://{stopped.http}/" in said
    assert "console" not in stopped.status() and stopped.supervised_pid("console") is None
