"""A real Prometheus server, and its tools."""
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from cluster import ROOT, free_port, wait_until


def tool(name):
    """The path of promtool or prometheus: on the PATH, or where scripts/test unpacks them."""
    path = shutil.which(name) or shutil.which(name, path=ROOT / ".build/tools/usr/bin")
    assert path, f"{name} is missing; scripts/test brings it"
    return path


def check_metrics(page):
    """What promtool says about a page, without what it says about the names of the original."""
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=page, capture_output=True, text=True)
    complaints = (done.stdout + done.stderr).splitlines()
    # 3 is what it ends with where nothing but names breaks its rules.
    assert done.returncode in (0, 3), complaints
    return [complaint for complaint in complaints if not complaint.startswith("neutracer_")]


class Prometheus:
    """Runs in `directory`, where its configuration lies as prometheus.yml, until `end`."""

    def __init__(self, directory):
        self.address = f"127.0.0.1:{free_port()}"
        self.log = open(directory / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={directory / 'prometheus.yml'}",
             f"--storage.tsdb.path={directory / 'tsdb'}", f"--web.listen-address={self.address}"],
            stdout=self.log, stderr=self.log,
        )

    def __enter__(self):
        try:
            wait_until(self._is_ready, f"a ready Prometheus; see {self.log.name}")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def _is_ready(self):
        assert self.process.poll() is None, open(self.log.name).read()
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def end(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def api(self, path, **parameters):
        """The `data` of an answer; a refused query fails with Prometheus' own words."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """The series that the expression returns now: [({label: value}, number)]."""
        result = self.api("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]
