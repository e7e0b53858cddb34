"""HAProxy in front of a cluster: TLS, certificates and tokens of clients, and what becomes of calls when it changes."""
import base64
import contextlib
import hashlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from types import SimpleNamespace

import grpc
import pytest

from certificates import Authority
from cluster import CHANNEL_OPTIONS, Cluster, free_port, wait_until
from traffic import Traffic

SEND = "/NeuTracer.TracerService/SendTraceBatch"
EVENTS = ("trace_data", "cpu_trace_data", "memory_trace_data", "network_trace_data", "io_trace_data", "gpu_trace_data")
TOKENS = {"ingest": "i-am-an-agent", "read": "i-am-prometheus", "admin": "i-am-root"}


def token_lines(tokens):
    return "".join(f"{scope} {hashlib.sha256(token.encode()).hexdigest()}  a remark\n" for scope, token in tokens.items())


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """`authority` has signed `server`, `web-3` (a client) and `old` (expired); `other` a client that nobody knows."""
    directory = tmp_path_factory.mktemp("pki")
    authority, other = Authority(directory / "ca"), Authority(directory / "other", "other")
    authority.issue("server", "localhost")
    authority.issue("web-3")
    authority.issue("old", days=-1)
    other.issue("stranger")
    return SimpleNamespace(authority=authority, other=other, directory=directory)


class Client:
    """Calls through HAProxy, with a certificate and a token or without."""

    def __init__(self, cluster, authority, certificate=None, token=None, address=None):
        pair = (None, None)
        if certificate:
            pair = (certificate.with_suffix(".key").read_bytes(), certificate.read_bytes())
        credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *pair)
        self.channel = grpc.secure_channel(address or cluster.grpc, credentials, options=CHANNEL_OPTIONS)
        self.metadata = [("authorization", f"Bearer {token}")] if token else []
        cluster.channels.append(self.channel)

    def send(self, batch, timeout=20):
        return self.channel.unary_unary(SEND)(batch.SerializeToString(), metadata=self.metadata, timeout=timeout)

    def send_until_taken(self, batch, seconds=60):
        """As an agent does: the same bytes again while the server is away or has no room."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.send(batch)
            except grpc.RpcError as error:
                again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
                if error.code() not in again or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class Page:
    """GET by HTTPS."""

    def __init__(self, address, authority, certificate=None):
        context = ssl.create_default_context(cafile=authority.certificate)
        if certificate:
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        host, port = address.rsplit(":", 1)
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)

    def get(self, path, authorization=None):
        headers = {"Authorization": authorization} if authorization else {}
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


@contextlib.contextmanager
def running(directory, programs, *options):
    cluster = Cluster(directory, programs)
    try:
        cluster.up(*options)
        yield cluster
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)
        assert not cluster.processes()


def haproxy_pid(cluster):
    return next((pid for pid, command in cluster.processes().items() if command.startswith("/usr/sbin/haproxy")), None)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, programs, pki):
    """A cluster that wants certificates and tokens. `files`: those it was started with, to be changed."""
    files = tmp_path_factory.mktemp("files")
    for name in ("server.pem", "server.key", "ca.pem"):
        (files / name).write_bytes((pki.authority.directory / name).read_bytes())
    (files / "tokens").write_text("# who may do what\n\n" + token_lines(TOKENS))
    console = f"127.0.0.1:{free_port()}"
    options = [
        "--tls-cert", files / "server.pem", "--tls-key", files / "server.key", "--tls-client-ca", files / "ca.pem",
        "--token-file", files / "tokens", "--console", console,
    ]
    with running(tmp_path_factory.mktemp("guarded") / "data", programs, *options) as cluster:
        cluster.files, cluster.console = files, console
        yield cluster


@pytest.fixture
def agent(guarded, pki):
    return Client(guarded, pki.authority, pki.authority.directory / "web-3.pem", TOKENS["ingest"])


def batch_of(contract, **fields):
    return Traffic(contract.messages).batch(1, **fields)


# What runs


def test_without_any_option_nothing_of_it_runs(cluster):
    assert haproxy_pid(cluster) is None
    assert "edge" not in cluster.status()
    assert not list(cluster.data.glob("run/edge*")) and not list(cluster.data.glob("run/*.sock.*"))
    assert not (cluster.data / "run/grpc.sock").exists()


def test_it_is_supervised_and_shown(guarded):
    assert haproxy_pid(guarded)
    status = guarded.status()
    assert status["ready"] and status["edge"]["up"]
    assert status["edge"]["pid"] == guarded.supervised_pid("edge")
    assert "Edge        pid" in guarded.run("status").stdout
    # Only HAProxy listens on the network.
    for name in ("grpc", "metrics", "console"):
        path = guarded.data / f"run/{name}.sock"
        assert path.is_socket() and path.stat().st_mode & 0o777 == 0o600


def test_what_up_says(guarded):
    said = guarded.run("up", check=False)
    assert "runs in" in said.stdout


# Who may do what


def test_batches_arrive(guarded, contract, agent):
    traffic = Traffic(contract.messages)
    for _ in range(5):
        agent.send(traffic.batch(2))
    stream = agent.channel.stream_stream("/NeuTracer.TracerService/StreamTraceBatches")
    batches = [traffic.batch(2).SerializeToString() for _ in range(5)]
    assert len(list(stream(iter(batches), metadata=agent.metadata, timeout=20))) == 5


@pytest.mark.parametrize(
    "certificate, token, code, text",
    [
        (None, "ingest", "UNAUTHENTICATED", "no client certificate"),
        ("ca/old.pem", "ingest", "UNAUTHENTICATED", "the client certificate has expired"),
        ("other/stranger.pem", "ingest", "UNAUTHENTICATED", "signed by no authority that this server knows"),
        ("ca/web-3.pem", None, "UNAUTHENTICATED", "no token; send authorization: Bearer"),
        ("ca/web-3.pem", "unknown", "UNAUTHENTICATED", "the token is not known"),
        ("ca/web-3.pem", "read", "PERMISSION_DENIED", "the token is not for ingest"),
        ("ca/web-3.pem", "admin", None, None),
    ],
)
def test_refusals_say_what_is_wrong(guarded, pki, contract, certificate, token, code, text):
    client = Client(guarded, pki.authority, certificate and pki.directory / certificate, TOKENS.get(token, token))
    if code is None:
        return client.send(batch_of(contract))
    with pytest.raises(grpc.RpcError) as caught:
        client.send(batch_of(contract))
    assert (caught.value.code().name, text in caught.value.details()) == (code, True), caught.value.details()


def test_without_tls_nothing_is_understood(guarded, contract):
    with pytest.raises(grpc.RpcError) as caught:
        guarded.channel().unary_unary(SEND)(b"", timeout=5)
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_health_needs_no_token_and_admin_stays_local(guarded, pki, agent):
    health = agent.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert health(b"", timeout=10) == b"\x08\x01"
    client = Client(guarded, pki.authority, pki.authority.directory / "web-3.pem", TOKENS["admin"])
    for name in ("Finalize", "Drain", "Slots"):
        with pytest.raises(grpc.RpcError) as caught:
            path = f"/TraceProcessor.AdminService/{name}"
            client.channel.unary_unary(path)(b"", metadata=client.metadata, timeout=10)
        assert caught.value.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)
    assert guarded.status()["ready"]


def test_pages(guarded, pki):
    mine = pki.authority.directory / "web-3.pem"
    password = "Basic " + base64.b64encode(f"anybody:{TOKENS['read']}".encode()).decode()
    for address, path in ((guarded.http, "/metrics"), (guarded.console, "/api/v1/about")):
        page = Page(address, pki.authority, mine)
        status, text, headers = page.get(path)
        assert status == 401 and "token" in text and headers["WWW-Authenticate"].startswith("Basic")
        assert page.get(path, f"Bearer {TOKENS['ingest']}")[:2] == (403, "the token is not for reading\n")
        assert page.get(path, "Bearer unknown")[0] == 401
        for known in (f"Bearer {TOKENS['read']}", f"Bearer {TOKENS['admin']}", password):
            assert page.get(path, known)[0] == 200
        without = Page(address, pki.authority)
        assert without.get(path, f"Bearer {TOKENS['read']}")[:2] == (403, "no client certificate; one is required\n")
    assert Page(guarded.http, pki.authority, mine).get("/healthz")[0] == 200


# Changes while it runs


def test_a_reload_loses_no_call(guarded, pki, contract, agent):
    traffic = Traffic(contract.messages, clock_us=1_760_100_000_000_000)
    batches = [traffic.batch(1).SerializeToString() for _ in range(200)]
    failures, done, stop = [], [0], threading.Event()

    def load():
        call = agent.channel.unary_unary(SEND)
        while not stop.is_set():
            try:
                call(batches[done[0] % len(batches)], metadata=agent.metadata, timeout=20)
                done[0] += 1
            except grpc.RpcError as error:
                failures.append((error.code(), error.details()))

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        before = haproxy_pid(guarded)
        for number in range(5):
            # Another certificate of the same name, and one token more.
            pki.authority.issue("server", "localhost", file=f"server{number}")
            for name in ("pem", "key"):
                new = pki.authority.directory / f"server{number}.{name}"
                (guarded.files / f"server.{name}").write_bytes(new.read_bytes())
            (guarded.files / "tokens").write_text(token_lines(TOKENS | {"ingest": TOKENS["ingest"]})
                                                  + token_lines({"read": f"another{number}"}))
            seen = done[0]
            said = guarded.run("reload").stdout
            assert said.count("reloaded ") == 2 and "valid until" in said
            wait_until(lambda: done[0] > seen + 20, "calls after the reload")
        assert haproxy_pid(guarded) == before
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    # New connections get the new certificate, and the new token is good.
    host, port = guarded.grpc.rsplit(":", 1)
    shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port))))
    newest = (pki.authority.directory / "server4.pem").read_text()
    assert shown == ssl.PEM_cert_to_DER_cert(newest)
    page = Page(guarded.http, pki.authority, pki.authority.directory / "web-3.pem")
    assert page.get("/metrics", "Bearer another4")[0] == 200 and page.get("/metrics", "Bearer another3")[0] == 401


def test_a_wrong_file_is_named_and_what_was_in_use_stays(guarded, pki, contract, agent):
    for name, content, text in (
        ("tokens", "ingest 1234\n", "tokens:1: behind the scope stands a token's SHA-256"),
        ("tokens", "", "has no token"),
        ("server.key", (pki.other.directory / "ca.key").read_text(), "HAProxy refuses run/edge.pem"),
        ("ca.pem", "nothing\n", "holds no certificate in PEM"),
    ):
        path = guarded.files / name
        before = path.read_bytes()
        path.write_text(content)
        said = guarded.run("reload", check=False)
        path.write_bytes(before)
        assert said.returncode == 1 and text in said.stderr, said.stderr
    agent.send(batch_of(contract))
    Client(guarded, pki.authority, pki.authority.directory / "web-3.pem", TOKENS["ingest"]).send(batch_of(contract))
    os.kill(guarded.supervised_pid("edge"), signal.SIGHUP)
    wait_until(lambda: "reloaded tokens" in (guarded.data / "logs/edge/current").read_text(), "a reload by signal")


def test_other_authorities_are_taken_by_a_restart(guarded, pki, contract, agent):
    """HAProxy 2.6.12 ends by a fault where it is to replace them while it runs."""
    before, pid = (guarded.files / "ca.pem").read_bytes(), haproxy_pid(guarded)
    (guarded.files / "ca.pem").write_bytes(before + pki.other.certificate.read_bytes())
    said = guarded.run("reload", check=False)
    assert said.returncode == 1 and "scripts/cluster restart edge" in said.stderr
    assert haproxy_pid(guarded) == pid
    guarded.run("restart", "edge")
    assert haproxy_pid(guarded) != pid
    assert "reloaded tokens" in guarded.run("reload").stdout
    agent.send_until_taken(batch_of(contract))
    stranger = Client(guarded, pki.authority, pki.directory / "other/stranger.pem", TOKENS["ingest"])
    stranger.send_until_taken(batch_of(contract))


@pytest.mark.parametrize("whom", ["haproxy", "edge"])
def test_killed_it_comes_back(guarded, contract, agent, whom):
    agent.send(batch_of(contract))
    before = haproxy_pid(guarded)
    os.kill(before if whom == "haproxy" else guarded.supervised_pid("edge"), signal.SIGKILL)
    agent.send_until_taken(batch_of(contract))
    wait_until(lambda: haproxy_pid(guarded) not in (None, before), "another HAProxy")
    wait_until(lambda: guarded.status()["edge"]["up"], "the edge in the status")
    wait_until(lambda: before not in guarded.processes(), "the end of the first one")


def accounted(cluster):
    """The number of written events, once all that were received are accounted for."""
    def written():
        # What is shown may be a second old, and have been settled before the last batch.
        accepted = cluster.accepted_events(f"unix:{cluster.data}/run/grpc.sock")
        status = cluster.status()
        if accepted is None or status["received_events"] < accepted:
            return None
        names = ("written_events", "deduplicated_events", "dead_lettered_events", "rejected_events")
        return (status["written_events"],) if status["received_events"] == sum(status[name] for name in names) else None

    return wait_until(written, "all events are accounted for", 60)[0]


@pytest.mark.parametrize("kill", [False, True], ids=["restarted", "killed"])
def test_calls_wait_while_the_router_is_away(guarded, pki, contract, kill):
    """None fails, and a call that HAProxy has sent to two routers is written once."""
    before = accounted(guarded)
    failures, stop, done = [], threading.Event(), []

    def load(number):
        client = Client(guarded, pki.authority, pki.authority.directory / "web-3.pem", TOKENS["ingest"])
        traffic = Traffic(contract.messages, clock_us=1_760_200_000_000_000 + (10 * kill + number) * 10**11)
        sequence = 0
        while not stop.is_set():
            sequence += 1
            batch = traffic.batch(1, client_id=f"{kill}-{number}", sequence=sequence)
            try:
                client.send(batch, timeout=60)
                done.append(sum(len(getattr(batch, name)) for name in EVENTS))
            except grpc.RpcError as error:
                failures.append((error.code(), error.details()))

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            seen = len(done)
            wait_until(lambda: len(done) > seen + 100, "calls before")
            router = guarded.supervised_pid("router")
            if kill:
                os.kill(router, signal.SIGKILL)
            else:
                guarded.run("restart", "router")
            wait_until(lambda: guarded.supervised_pid("router") not in (None, router), "another router")
            seen = len(done)
            wait_until(lambda: len(done) > seen + 100, "calls after the restart", 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    wait_until(lambda: accounted(guarded) >= before + sum(done), "all events are written")
    assert accounted(guarded) == before + sum(done)


# Hosts


def test_hosts_are_those_of_their_certificates(tmp_path, programs, pki, contract):
    mine = pki.authority.directory
    options = ["--tls-cert", mine / "server.pem", "--tls-key", mine / "server.key", "--tls-client-ca",
               pki.authority.certificate, "--require-host-identity"]
    with running(tmp_path / "data", programs, *options) as cluster:
        client = Client(cluster, pki.authority, mine / "web-3.pem")
        client.send(batch_of(contract, host="web-3"))
        client.send(batch_of(contract))
        with pytest.raises(grpc.RpcError) as caught:
            client.send(batch_of(contract, host="db-1"))
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert 'host "db-1"' in caught.value.details() and '"web-3"' in caught.value.details()
        call = client.channel.stream_stream("/NeuTracer.TracerService/StreamTraceBatches")
        requests = [batch_of(contract, host=host).SerializeToString() for host in ("db-1", "web-3")]
        acks = [contract.messages.BatchAck.FromString(ack) for ack in call(iter(requests), timeout=20)]
        assert [ack.success for ack in acks] == [False, True] and "db-1" in acks[0].message
        cluster.run("finalize")
        files = [path.name for path in (cluster.data / "output").rglob("function_trace_*.json")]
        assert files and all("web-3" in name for name in files), files


def proxied(address, header):
    """A connection that begins with these bytes, and asks for the status; what the server answers."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(header + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        try:
            return connection.recv(4096)
        except OSError:
            return b""


def test_only_trusted_proxies_name_their_clients(tmp_path, programs):
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([10, 1, 2, 3, 127, 0, 0, 1, 0x12, 0x34, 0, 80])
    with running(tmp_path / "data", programs, "--trusted-proxy", "127.0.0.0/30") as cluster:
        assert haproxy_pid(cluster) is None
        assert proxied(cluster.grpc, header)[3:4] == b"\4"  # SETTINGS
        assert proxied(cluster.grpc, b"")[3:4] == b"\4"
        assert proxied(cluster.grpc, header[:13] + b"\x33" + header[14:]) == b""
        cluster.run("stop")
        cluster.run("up", "--trusted-proxy", "10.0.0.1")
        assert proxied(cluster.grpc, header) == b"" and proxied(cluster.grpc, b"")[3:4] == b"\4"


def test_old_agents_have_a_port_of_their_own(tmp_path, programs, pki, contract):
    mine = pki.authority.directory
    (tmp_path / "tokens").write_text(token_lines(TOKENS))
    plain = f"127.0.0.1:{free_port()}"
    options = ["--tls-cert", mine / "server.pem", "--tls-key", mine / "server.key", "--token-file", tmp_path / "tokens",
               "--plain", plain]
    with running(tmp_path / "data", programs, *options) as cluster:
        channel = grpc.insecure_channel(plain, options=CHANNEL_OPTIONS)
        cluster.channels.append(channel)
        channel.unary_unary(SEND)(batch_of(contract).SerializeToString(), timeout=20)
        assert cluster.status()["received_events"] > 0 or cluster.settled_status


@pytest.mark.parametrize(
    "options, text",
    [
        (["--tls-cert", "{pem}"], "--tls-cert and --tls-key go together"),
        (["--tls-client-ca", "{pem}"], "--tls-client-ca needs --tls-cert"),
        (["--edge", "off", "--tls-cert", "{pem}", "--tls-key", "{pem}"], "--tls-cert needs HAProxy"),
        (["--require-host-identity"], "needs clients that show a certificate"),
        (["--tls-cert", "nowhere.pem"], "--tls-cert takes a file that is there"),
        (["--trusted-proxy", "host"], "--trusted-proxy takes addresses or networks"),
    ],
)
def test_settings_that_contradict_one_another(stopped, pki, options, text):
    words = [word.format(pem=pki.authority.certificate) for word in options]
    said = stopped.run("up", *words, check=False)
    assert said.returncode == 2 and text in said.stderr, said.stderr


# Tools


def tool(cluster, *words):
    return cluster.tracectl("agent", "--server", cluster.grpc.replace("127.0.0.1", "localhost"), "--duration", "1s", *words,
                            check=False)


def test_tools_speak_tls(guarded, pki, tmp_path):
    mine = pki.authority.directory
    (tmp_path / "token").write_text(TOKENS["ingest"] + "\n")
    trust = ["--tls-ca", pki.authority.certificate]
    identity = ["--tls-cert", mine / "web-3.pem", "--tls-key", mine / "web-3.key"]
    token = ["--token-file", tmp_path / "token"]
    done = tool(guarded, *trust, *identity, *token)
    assert done.returncode == 0, done.stderr
    for words, text in (
        ([*trust, *identity], "no token"),
        ([*trust, *token], "no client certificate"),
        (["--tls-ca", pki.other.certificate, *identity, *token], "is signed by none of the authorities"),
    ):
        done = tool(guarded, *words)
        assert done.returncode == 1 and text in done.stderr, done.stderr


@pytest.mark.parametrize("name, options, text", [
    ("expired", {"days": -1}, "has expired"),
    ("elsewhere", {"alternatives": "DNS:elsewhere"}, "is not the name in the server's certificate"),
])
def test_tools_say_what_is_wrong_with_a_server(tmp_path, programs, pki, name, options, text):
    certificate, key = pki.authority.issue(name, name, **options)
    with running(tmp_path / "data", programs, "--tls-cert", certificate, "--tls-key", key) as cluster:
        done = tool(cluster, "--tls-ca", pki.authority.certificate)
        assert done.returncode == 1 and text in done.stderr, done.stderr
