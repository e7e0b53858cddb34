"""The console's pages in a browser: what they show is what was sent, and nothing that is shown does anything."""
import json
import time
import urllib.parse
import urllib.request
from types import SimpleNamespace

import pytest

import screenshots
from browser import Browser
from cluster import Cluster, free_port, wait_until
from fleet import Fleet

HOSTS = ("web-1", "web-2", "db-1")
SPELL = 3  # of the seconds below, the last ones in which a function is slow
SECONDS = 8
HOSTILE = ["<script>window.hit=1</script><img src=x onerror=window.hit=1>", "quote\"'`\\&amp;", "\u202ertl\u202c عربي", "x" * 4096]


class Site:
    """A cluster with a console, and what was sent to it."""

    def __init__(self, cluster, console, contract):
        self.cluster = cluster
        self.console = console
        self.stub = contract.services.TracerServiceStub(cluster.channel())

    def send(self, batch):
        assert self.stub.SendTraceBatch(batch, timeout=60).success

    def get(self, endpoint, **parameters):
        query = urllib.parse.urlencode({name: value for name, value in parameters.items() if value})
        with urllib.request.urlopen(f"http://{self.console}/api/v1/{endpoint}?{query}", timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def start(tmp_path_factory, programs, contract):
    """Starts clusters with consoles; all are stopped in the end."""
    clusters = []

    def begin(*options):
        cluster = Cluster(tmp_path_factory.mktemp("site") / "data", programs)
        console = f"127.0.0.1:{free_port()}"
        clusters.append(cluster)
        cluster.up("--console", console, "--perfetto-ui", "local", *options)
        return Site(cluster, console, contract)

    yield begin
    for cluster in clusters:
        cluster.stop(check=False)


@pytest.fixture(scope="module")
def site(start, contract):
    """Some seconds of a fleet as they pass, in two windows: in the second one a function is slow."""
    site = start()
    # A rate needs a point before: the first events are of another window, long ago.
    site.send(Fleet(contract.messages, HOSTS).batch(HOSTS[0], int(time.time()) - 3600))
    wait_until(lambda: any(site.get("series", name="memory")["series"][0]["values"]), "points")
    site.cluster.run("finalize")
    slow_from = SECONDS - SPELL
    site.begin = int(time.time()) + 1
    fleet = Fleet(contract.messages, HOSTS, slow=lambda second: 8 if second >= site.begin + slow_from else 1)
    for number in range(SECONDS):
        second = site.begin + number
        time.sleep(max(0, second - time.time()))
        if number == slow_from:
            site.cluster.run("finalize")
            site.calls_before = fleet.calls
        for host in HOSTS:
            site.send(fleet.batch(host, second))
    site.cluster.run("finalize")
    site.fleet = fleet
    site.end = site.begin + SECONDS + 1
    site.before = {"from": site.begin, "to": site.begin + slow_from - 0.001}
    site.slow = {"from": site.begin + slow_from, "to": site.end}
    site.moment = "/moment?" + urllib.parse.urlencode({"from": site.begin, "to": site.end})
    site.compare = "/compare?" + urllib.parse.urlencode(
        {name: "{from}..{to}".format(**span) for name, span in (("a", site.before), ("b", site.slow))}
    )
    return site


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests; each begins with a look of its own."""
    browser = Browser(None)
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium, site):
    chromium.address = site.console
    chromium.look()
    return chromium


def page(site, name):
    return {"fleet": "/", "moment": site.moment, "compare": site.compare, "anomalies": "/anomalies", "files": "/files"}[name]


#: A script that is true when a page shows what it is for.
SHOWN = {
    "fleet": "return document.querySelectorAll('#charts canvas').length >= 12 && document.querySelectorAll('#hosts tbody tr').length",
    "moment": "return document.body.dataset.state && document.querySelectorAll('.frame').length > 10",
    "compare": "return document.body.dataset.state && document.querySelectorAll('.frame').length > 10",
    "anomalies": "return document.getElementById('note').textContent.includes('incidents')",
    "files": "return document.querySelectorAll('#files tbody tr').length > 10",
}


def number(text):
    return float(text.replace(",", "").replace("−", "-"))


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SHOWN)
def test_every_screen_is_shown_without_an_error(site, browser, name, scheme, width):
    browser.look(width, 800, scheme)
    browser.open(page(site, name))
    browser.wait(SHOWN[name], name)
    assert browser.run("return document.getElementById('problem').hidden")
    assert browser.errors() == []
    # Nothing has to be scrolled sideways, and text is not the colour of what is behind it.
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run(
        "return getComputedStyle(document.body).color !== getComputedStyle(document.body).backgroundColor"
    )


def test_an_error_of_a_page_would_be_found(site, browser):
    browser.open("/anomalies")
    browser.run("console.error('planted')")
    assert len(browser.errors()) == 1
    browser.run("document.body.setAttribute('style', 'color: red')")
    assert ["Content Security Policy" in message for message in browser.errors()] == [True]


def test_a_brush_opens_its_moment_and_perfetto_shows_every_call(site, browser):
    """From a chart to the trace: Perfetto's own engine counts the calls that were sent, and finds nothing wrong."""
    browser.open("/?last=300")
    browser.wait("return document.querySelector('.chart b')?.textContent.includes('/s')", "the charts")
    browser.drag(".plot", 0.2, 0.95)
    browser.wait("return location.pathname === '/moment'", "the moment")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(browser.driver.current_url).query))
    assert float(query["from"]) < site.begin and float(query["to"]) > site.end, (query, site.begin, site.end)
    browser.complete()
    assert number(browser.texts("#functions tbody tr td:last-child")[0]) > 0
    first = browser.driver.current_window_handle
    browser.run("[...document.querySelectorAll('button')].find((one) => one.textContent === 'Open in Perfetto').click()")
    try:
        wait_until(lambda: len(browser.driver.window_handles) == 2, "a window of Perfetto")
        browser.driver.switch_to.window(next(one for one in browser.driver.window_handles if one != first))
        browser.wait("return window.app?.trace?.engine && !window.app.isLoadingTrace", "the trace in Perfetto", 90)
        assert urllib.parse.urlsplit(browser.driver.current_url).path == "/perfetto/"

        def engine(query, column):
            return browser.ask(
                "const found = await window.app.trace.engine.query(arguments[0]); const rows = [];"
                f"for (const row = found.iter({{{column}}}); row.valid(); row.next()) rows.push(String(row[arguments[1]]));"
                "return rows;", query, column.split(":")[0],
            )

        calls = engine("select count(*) as calls from slice where category = 'function' and dur >= 0", "calls: 0")
        assert calls == [str(site.fleet.calls)]
        names = engine("select distinct name from slice where category = 'function'", "name: 'str'")
        assert set(names) == set(site.fleet.self_us)
        wrong = engine(
            "select name || ' ' || value as found from stats where severity in ('error', 'data_loss') and value > 0", "found: 'str'"
        )
        assert wrong == []
        unfinished = engine("select count(*) as calls from slice where category = 'function' and dur = -1", "calls: 0")
        assert unfinished == ["0"]
    finally:
        while len(browser.driver.window_handles) > 1:
            browser.driver.close()
            browser.driver.switch_to.window(browser.driver.window_handles[0])


def test_numbers_are_those_of_the_endpoint_and_of_tracectl(site, browser):
    span = {"from": site.begin, "to": site.end}
    browser.open(site.moment)
    browser.complete()
    top = site.get("top", limit=100, **span)
    browser.run("document.querySelector('#functions tfoot button')?.click()")
    rows = browser.run(
        "return [...document.querySelectorAll('#functions tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    )
    assert [row[0] for row in rows] == [one["function"] for one in top["functions"]]
    for row, one in zip(rows, top["functions"]):
        assert number(row[1]) == pytest.approx(one["self_ms"], rel=0.01)
        assert number(row[3]) == pytest.approx(one["total_ms"], rel=0.01)
        assert number(row[4]) == one["calls"]
        assert number(row[5]) == pytest.approx(one["p99_ms"], rel=0.01)
    said = json.loads(site.cluster.tracectl(
        "top", "--data", str(site.cluster.data), "--json", "--rows", "100", "--from", str(site.begin), "--to", str(site.end)
    ).stdout)
    assert said["functions"] == top["functions"]
    assert sum(one["calls"] for one in top["functions"]) == site.fleet.calls
    # The graph's root is the sum of the self times, which is what the calls took.
    flame = site.get("flame", **span)
    total = sum(one["self_ms"] for one in top["functions"])
    assert flame["total_ns"] / 1e6 == pytest.approx(total) == pytest.approx(top["coverage"]["self_ms"])
    assert total == pytest.approx(sum(site.fleet.self_us.values()) / 1e3, rel=1e-6)
    assert browser.text(".frame-text").startswith(f"all: total {round(total):,} ms (100.0 %)")
    widths = browser.run(
        "return [...document.querySelectorAll('.frame.group')].map((one) => [one.querySelector('title').textContent,"
        " Number(one.getAttribute('width')), Number(one.getAttribute('y'))])"
    )
    whole = widths[0][1]
    hosts = [(name, width) for name, width, top_edge in widths if top_edge == widths[1][2]]
    assert sorted(name for name, _ in hosts) == sorted(HOSTS)
    assert sum(width for _, width in hosts) == pytest.approx(whole)


def test_the_flame_graph_by_pointer_keys_and_search(site, browser):
    browser.open(site.moment)
    browser.complete()
    current = "return document.querySelector('.frame.current title').textContent"
    assert browser.run(current) == "all"
    browser.press(".flame", "ArrowDown", "ArrowDown", "ArrowDown")
    assert browser.run(current) == "handle_request" or browser.run(current) == "train_step"
    assert "calls" in browser.text(".frame-text")
    before = len(browser.texts(".frame"))
    browser.press(".flame", "Enter")
    width = browser.run("return document.querySelector('.flame').clientWidth")
    assert browser.run("return Number(document.querySelector('.frame.current').getAttribute('width'))") == width
    assert len(browser.texts(".frame")) < before
    browser.press(".flame", "Escape")
    assert browser.run(current) == "all" and len(browser.texts(".frame")) == before
    browser.run("[...document.querySelectorAll('#functions button.link')].find((one) => one.textContent === 'wait_rows').click()")
    hits = browser.texts(".frame.hit title")
    assert hits and set(hits) == {"wait_rows"}
    assert "of the time" in browser.text(".tools")
    # A click zooms.
    browser.run(
        "document.querySelector('.frame.hit').scrollIntoView();"
        "document.querySelector('.frame.hit').dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    )
    assert browser.run(current) == "wait_rows"
    assert browser.errors() == []


def test_a_span_is_marked_by_keys(site, browser):
    browser.open("/?last=300&host=web-1")
    browser.wait("return document.querySelector('.chart b')?.textContent.includes('/s')", "the charts")
    browser.press(".plot", "Home")
    assert browser.text("#cursor").startswith("Function calls, ")
    browser.press(".plot", *["ArrowRight"] * 5, shift=True)
    assert "5 s marked" in browser.text("#cursor")
    assert browser.run("return !document.querySelector('.brush').hidden")
    browser.press(".plot", "Enter")
    browser.wait("return location.pathname === '/moment'", "the moment")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(browser.driver.current_url).query))
    assert query["host"] == "web-1" and float(query["to"]) - float(query["from"]) == 5


def test_a_comparison_says_what_got_slower(site, browser):
    browser.open(site.compare)
    browser.complete()
    rows = browser.run(
        "return [...document.querySelectorAll('#functions tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    )
    assert rows[0][0] == "wait_rows" and number(rows[0][1]) > 0 and rows[0][2].startswith("+")
    differences = {row[0]: number(row[1]) for row in rows}
    assert max(abs(value) for name, value in differences.items() if name != "wait_rows") < differences["wait_rows"]
    answer = site.get("diff", a="{from}..{to}".format(**site.before), b="{from}..{to}".format(**site.slow), limit=100)
    assert number(rows[0][1]) == pytest.approx(answer["functions"][0]["difference_ms_per_second"], rel=0.01)
    # Colour is not all that says it.
    frames = browser.run(
        "return [...document.querySelectorAll('.frame')].map((one) => [one.getAttribute('class'), one.querySelector('title').textContent,"
        " one.querySelector('text').textContent])"
    )
    slow = [(kind, text) for kind, name, text in frames if name == "wait_rows"]
    assert slow and all("slower3" in kind or "slower4" in kind for kind, _ in slow)
    assert all(text.startswith("▲") for _, text in slow if text)
    assert "slower by at least" in browser.text("#legend")
    assert browser.errors() == []


def test_pictures_for_the_documents(site, browser, tmp_path):
    taken = screenshots.take(site.console, tmp_path)
    assert [path.name for path in taken] == ["fleet.png", "moment.png", "compare.png"]
    for path in taken:
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000


def test_what_a_page_shows_stands_in_its_address(site, browser):
    browser.open(f"{site.moment}&host=web-2&pid=4001")
    browser.complete()
    top = site.get("top", host="web-2", pid=4001, **{"from": site.begin, "to": site.end})
    assert browser.texts("#functions tbody td:first-child") == [one["function"] for one in top["functions"]][:10]
    assert "process 4001 of host web-2" in browser.text("#what")
    links = browser.run("return [...document.querySelectorAll('#actions a')].map((one) => one.getAttribute('href'))")
    assert all("web-2" in link and "4001" in link for link in links)
    browser.run("document.querySelector('#span [name=pid]').value = ''; document.querySelector('#span button').click()")
    browser.wait("return !location.search.includes('pid') && document.body.dataset.state", "the moment without a process")
    assert f"from={site.begin}&to={site.end}&host=web-2" in browser.driver.current_url


@pytest.mark.parametrize("blocked, package", [("*/lib/dygraphs/*", "libjs-dygraphs"), ("*/lib/d3/*", "libjs-d3")])
def test_without_a_library_there_are_tables(site, browser, blocked, package):
    driver = browser.driver
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [blocked]})
    try:
        for path in ("/",) if "dygraphs" in package else (site.moment, site.compare):
            browser.open(path)
            browser.wait("return !document.getElementById('library').hidden", "the note")
            assert package in browser.text("#library")
            table = "#measures" if path == "/" else "#flame table"
            browser.wait(f"return document.querySelectorAll('{table} tbody tr').length > 5", "the table")
            assert browser.run(f"return document.querySelector('{table}').checkVisibility()")
    finally:
        driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})


def test_self_times_that_are_not_known_are_explained(start, chromium, contract):
    site = start()
    messages = contract.messages
    batch = messages.TraceBatch(semantics=messages.NEUTRACER, host="web-1")
    second = int(time.time()) - 2
    for number_of_call in range(40):
        for kind in (0, 1):
            batch.trace_data.add(
                timestamp=f"{second}.{number_of_call * 2 + kind:06d}", event_type=kind, cookie=1, function_name="sampled_one", pid=4001,
                tgid=4001, call_count=50 * (number_of_call + 1), avg_duration_us=5,
            )
    site.send(batch)
    site.cluster.run("finalize")
    chromium.address = site.console
    chromium.look()
    chromium.open(f"/moment?from={second - 1}&to={second + 2}")
    chromium.complete()
    said = chromium.text("#notices")
    assert "No self times of" in said and "pid 4001 on web-1" in said and "only some of their calls" in said
    assert chromium.errors() == []


def test_names_are_text_wherever_they_stand(start, chromium, contract):
    """Hosts, processes and functions with names that are markup, quotes, right to left, or long."""
    site = start()
    messages = contract.messages
    second = int(time.time()) - 5
    for name in HOSTILE:
        # Names of hosts and processes are limited to less than 4,096 bytes.
        fleet = Fleet(messages, [], processes=2, services={name[:100]: (name, 1, [(f"inner {name[:1000]}", 2, [])])})
        for later in range(3):
            batch = fleet.batch(name[:200], second + later)
            batch.names.add(pid=4000, name=name[:200])
            site.send(batch)
    site.cluster.run("finalize")
    chromium.address = site.console
    for width in (1280, 400):
        chromium.look(width)
        span = f"from={second - 1}&to={second + 5}"
        side = f"{second - 1}..{second + 5}"
        for path in ("/", f"/moment?{span}", f"/compare?a={side}&b={side}", "/anomalies", "/files"):
            for host in ("", HOSTILE[0], HOSTILE[3][:200]):
                query = urllib.parse.urlencode({"host": host}) if host else ""
                chromium.open(path + ("&" if "?" in path else "?") + query)
                chromium.wait(
                    "return document.body.dataset.state || document.querySelectorAll('tbody tr').length > 3"
                    " || document.getElementById('note')?.textContent.includes('incidents')", path,
                )
                assert chromium.run("return window.hit") is None
                # Nothing but the page's own scripts and libraries.
                scripts = chromium.run("return [...document.scripts].map((one) => new URL(one.src).pathname)")
                assert all(script.endswith(".js") for script in scripts)
                assert chromium.run("return document.querySelectorAll('img, iframe, object').length") == 0
                assert chromium.errors() == []
                assert chromium.run("return document.documentElement.scrollWidth") <= width, path
    chromium.look()
    chromium.open(f"/moment?{span}")
    chromium.complete()
    shown = chromium.texts("#functions td:first-child") + chromium.texts(".frame title")
    assert set(HOSTILE) <= set(shown)
    chromium.open("/")
    chromium.wait(f"return document.querySelectorAll('#hosts tbody tr').length === {len(HOSTILE)}", "all hosts")
    assert set(chromium.texts("#hosts td:first-child")) == {name[:200] for name in HOSTILE}


def test_a_large_fleet_stays_usable(start, chromium, contract):
    """100 hosts with 200 processes each: pages come within seconds, and never leave the browser without an answer for long."""
    site = start()
    messages = contract.messages
    services = {"worker": ("main", 1, [])}
    hosts = [f"host-{position:03d}" for position in range(100)]
    fleet = Fleet(messages, hosts, processes=200, requests=1, services=services, resources=("cpu",))
    second = int(time.time()) - 2
    for host in hosts:
        site.send(fleet.batch(host, second))
    site.cluster.run("finalize", seconds=300)
    # The window's lists name the processes of some; the page has the others from the aggregator.
    assert 50 < len(site.get("hosts")["hosts"])
    known = len({one["host"] for endpoint in ("hosts", "batches") for one in site.get(endpoint)["hosts"]})
    assert known >= len(hosts)
    chromium.address = site.console
    chromium.look()
    longest = (
        "return new Promise((done) => { const tasks = []; const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries()));"
        "watch.observe({ type: 'longtask', buffered: true });"
        "setTimeout(() => done(Math.max(0, ...tasks.map((one) => one.duration))), 300); })"
    )
    measured = SimpleNamespace()
    moment = f"/moment?from={second - 1}&to={second + 5}"
    for name, path in (("fleet", "/"), ("moment", moment), ("host", f"{moment}&host=host-042")):
        began = time.monotonic()
        chromium.open(path)
        if name == "fleet":
            chromium.wait(f"return document.querySelectorAll('#hosts tbody tr').length === {known}", "the hosts", 30)
        else:
            chromium.complete(60)
        took, task = time.monotonic() - began, chromium.ask(longest) / 1e3
        setattr(measured, name, (round(took, 2), round(task, 2)))
        assert chromium.errors() == [] and chromium.run("return document.getElementById('problem').hidden")
        # Tests run beside others, so that everything takes several times as long as for people.
        assert took < 20 and task < 4, measured
    print(measured)
    assert len(chromium.run("return [...document.querySelectorAll('.frame.group')]")) > 100, "host, and its processes"
