"""Results in an S3 store: every event once, whatever dies meanwhile, and read back as from the data directory."""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time

import pytest

from cluster import ROOT, Cluster, wait_until
from object_store import ObjectStore, use
from outputs import records
from traffic import RESOURCES, Traffic


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    store = ObjectStore(tmp_path_factory.mktemp("store") / "s3").start()
    yield store
    store.stop()


@pytest.fixture
def bucket(stored, request):
    """A bucket of this test's own."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-")
    stored.make_bucket(name)
    return name


def send(cluster, contract, batch):
    answer = contract.services.TracerServiceStub(cluster.channel()).SendTraceBatch(batch, timeout=30)
    assert answer.success, answer


def tracectl(cluster, *arguments, check=True):
    done = subprocess.run(
        [cluster.programs / "tracectl", *map(str, arguments)], env=cluster.environment, capture_output=True, timeout=120,
        stdin=subprocess.DEVNULL,
    )
    if check:
        assert done.returncode == 0, done
    return done


def uploads(cluster):
    return wait_until(lambda: cluster.status().get("object_store"), "the aggregator says what it uploads")


def wait_uploaded(cluster, seconds=60):
    def nothing_waits():
        state = uploads(cluster)
        # A window that was merged a moment ago may not be counted yet.
        return state if state["waiting_windows"] == 0 and not_uploaded(cluster.data) == set() else None

    try:
        return wait_until(nothing_waits, "everything is uploaded", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; {uploads(cluster)}; {not_uploaded(cluster.data)}") from None


def not_uploaded(data):
    """Windows without a record yet, and recorded ones that are not uploaded."""
    def names(directory):
        return {path.name for path in (data / "output/.merge" / directory).glob("*") if path.is_file()}

    return names(".") | (names("final") - names("uploaded"))


def records_in(data):
    return len(list((data / "output/.merge/final").glob("*")))


def final_files(data):
    return [path for path in (data / "output").glob("*/*") if not path.name.startswith(".") and path.is_file()]


def check_whole(store, bucket, data, prefix="results/default/"):
    """Each final file is in the store, byte by byte, and in exactly one window's record; nothing else is there."""
    keys = store.keys(bucket, prefix)
    windows = [key for key in keys if key.startswith(f"{prefix}windows/")]
    recorded = {}
    for key in windows:
        window = json.loads(store.content(bucket, key))
        assert window["format"] == 1 and window["cell"] == prefix.split("/")[-2]
        for file in window["files"]:
            name = file["path"].split("/")[-1]
            day = "/".join(re.match(r"(\d{4})(\d\d)(\d\d)_", window["stem"]).groups())
            place = f"{prefix}{window['resource']}/{day}/{name}"
            assert place not in recorded, f"{place} is in two windows"
            recorded[place] = file
            assert keys[place] == file["bytes"] and not file.get("is_missing")
    assert set(recorded) == set(keys) - set(windows)
    local = {str(path.relative_to(data / "output")): path for path in final_files(data)}
    assert {file["path"] for file in recorded.values()} == set(local)
    for key, file in recorded.items():
        assert store.content(bucket, key) == local[file["path"]].read_bytes(), key
    return windows


def test_everything_is_uploaded_and_read_back(stopped, stored, bucket, contract):
    """Also: tracectl reads the same from the store as from the data directory."""
    use(stopped, stored)
    place = f"s3://{bucket}/results"
    stopped.up("--object-store", place)
    traffic = Traffic(contract.messages)
    for round in range(3):
        for _ in range(4):
            send(stopped, contract, traffic.batch(rounds=25))
        stopped.run("finalize")
    wait_uploaded(stopped)
    windows = check_whole(stored, bucket, stopped.data)
    assert len(windows) == 3 * len(RESOURCES)
    for resource in RESOURCES:
        assert len(records(stopped.data, resource)) == len(traffic.sent[resource])

    status = uploads(stopped)
    assert status["address"] == place and status["cell"] == "default" and "problem" not in status
    assert f"nothing waits, to {place}, cell default" in stopped.run("status").stdout
    metrics = stopped.metrics()
    assert metrics["trace_object_store_uploaded_files_total"][()] == len(final_files(stopped.data))
    uploaded = metrics["trace_object_store_uploaded_bytes_total"][()]
    assert uploaded == sum(path.stat().st_size for path in final_files(stopped.data))
    assert metrics["trace_object_store_waiting_windows"][()] == 0
    assert "libcurl" in maps(stopped)

    middle = traffic.sent["function"][len(traffic.sent["function"]) // 2] / 1e6
    span = ("--from", f"{middle - 0.05:.6f}", "--to", f"{middle + 0.05:.6f}")
    commands = [
        ("cat", "--resource", "gpu"), ("cat", "--resource", "memory", "--format", "csv"),
        ("cat", "--resource", "function", *span), ("cat", "--resource", "io", "--format", "csv", *span),
        ("trace",), ("trace", *span), ("summary", "--json"), ("summary", "--json", "--last"), ("top", "--json"),
        ("flame", *span), ("anomalies", "--json"),
    ]
    stopped.stop()
    for command in commands:
        local = tracectl(stopped, *command, "--data", stopped.data)
        remote = tracectl(stopped, *command, "--object-store", place)
        assert remote.stdout == local.stdout, command
        assert local.stdout or command[0] == "anomalies"
    assert tracectl(stopped, "top", "--object-store", "cluster", "--data", stopped.data).stdout
    temporary = pathlib.Path(os.environ.get("TMPDIR", "/tmp"))

    def left():
        return list(temporary.glob(f"tracectl-files.{os.getuid()}.*"))

    assert not left()
    # A reader that takes nothing holds it up, until it is ended.
    command = [stopped.programs / "tracectl", "cat", "--resource", "function", "--object-store", place]
    with subprocess.Popen(command, env=stopped.environment, stdout=subprocess.PIPE) as reading:
        wait_until(lambda: any((path / "output/json").glob("*.json") for path in left()), "files are downloaded")
        reading.terminate()
        assert reading.wait(timeout=30) == 128 + signal.SIGTERM
    assert not left()


def maps(cluster):
    return pathlib.Path(f"/proc/{cluster.pid('aggregator')}/maps").read_text()


def test_without_an_object_store_nothing_of_it_runs(cluster):
    assert "libcurl" not in maps(cluster)
    names = [path.read_text().strip() for path in pathlib.Path(f"/proc/{cluster.pid('aggregator')}/task").glob("*/comm")]
    assert "merge" in names and "upload" not in names
    assert "object_store" not in cluster.status()
    assert "trace_object_store_waiting_windows" not in cluster.metrics()


def test_an_aggregator_that_is_killed_during_uploads(stopped, stored, bucket, contract):
    """Kills spread over uploads of many windows; one of the files is large enough for parts of its own."""
    use(stopped, stored)
    stopped.up("--object-store", f"s3://{bucket}/results")
    traffic = Traffic(contract.messages)
    chance, during = random.Random(20), 0
    for _ in range(6):
        for _ in range(3):
            send(stopped, contract, traffic.batch(rounds=400))
        pid = wait_until(lambda: stopped.supervised_pid("aggregator"), "the aggregator runs")
        finalizing = subprocess.Popen(
            [ROOT / "scripts/cluster", "finalize", "--data", stopped.data], env=stopped.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        # From the first record on windows are uploaded, in a few hundred milliseconds.
        known = records_in(stopped.data)
        while finalizing.poll() is None and records_in(stopped.data) == known:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.2))
        os.kill(pid, signal.SIGKILL)
        during += bool(not_uploaded(stopped.data))
        wait_until(lambda: stopped.supervised_pid("aggregator") not in (None, pid), "it is started again")
        assert finalizing.wait(timeout=120) == 0
    assert during >= 3, "most kills came during uploads"
    wait_uploaded(stopped, 120)
    check_whole(stored, bucket, stopped.data)
    for resource in RESOURCES:
        assert len(records(stopped.data, resource)) == len(traffic.sent[resource])


def test_records_that_arrived_in_part_are_replaced(stopped, stored, bucket, contract):
    """Some stores keep what has arrived of an upload that broke off, as when the aggregator was killed."""
    use(stopped, stored)
    stopped.up("--object-store", f"s3://{bucket}/results")
    send(stopped, contract, Traffic(contract.messages).batch(resources=("io", "cpu")))
    stopped.run("finalize")
    wait_uploaded(stopped)
    stopped.stop()
    keys = [key for key in stored.keys(bucket, "results/default/windows/") if "/io/" in key or "/cpu/" in key]
    whole = {key: stored.content(bucket, key) for key in keys}
    assert len(whole) >= 2
    for length, key in zip((0, 40), keys):
        stored.client().put_object(Bucket=bucket, Key=key, Body=whole[key][:length])
    for mark in (stopped.data / "output/.merge/uploaded").iterdir():
        mark.unlink()
    stopped.up()
    wait_uploaded(stopped)
    assert {key: stored.content(bucket, key) for key in keys} == whole
    check_whole(stored, bucket, stopped.data)


def test_a_store_that_is_away_is_waited_for(stopped, tmp_path, contract):
    """Nothing is lost, retention keeps what is only here, a restart does not forget it, and all comes once."""
    store = ObjectStore(tmp_path / "s3").start()
    try:
        store.make_bucket("away")
        use(stopped, store)
        stopped.up("--object-store", "s3://away/results", "--retain-age", "1s")
        traffic = Traffic(contract.messages)
        send(stopped, contract, traffic.batch())
        stopped.run("finalize")
        # Uploaded files go by age, here soon.
        wait_uploaded(stopped)
        wait_until(lambda: not final_files(stopped.data), "what is uploaded is deleted")

        store.stop()
        for _ in range(2):
            send(stopped, contract, traffic.batch())
            stopped.run("finalize")

        def waiting():
            state = uploads(stopped)
            return state if state.get("problem") and state["waiting_windows"] == 2 * len(RESOURCES) else None

        state = wait_until(waiting, "windows wait, with the reason")
        assert "is not reached" in state["problem"] and "AWS_ENDPOINT_URL" in state["problem"]
        wait_until(lambda: uploads(stopped)["oldest_waiting_seconds"] >= 3, "their age is shown")
        table = stopped.run("status").stdout
        assert "12 windows wait" in table and "is not reached" in table
        metrics = stopped.metrics()
        assert metrics["trace_object_store_waiting_windows"][()] == 12
        assert metrics["trace_object_store_failures_total"][()] >= 1
        assert metrics["trace_object_store_oldest_waiting_seconds"][()] >= 3
        kept = {path.name for path in final_files(stopped.data)}
        assert len(kept) >= 12

        stopped.stop()  # ends without waiting for the store
        stopped.up()
        wait_until(waiting, "windows still wait after a restart")
        assert {path.name for path in final_files(stopped.data)} == kept
        # Each of the two processes has tried several times.
        log = (stopped.data / "logs/aggregator/current").read_text()
        assert log.count("windows wait for the object store") == 2, "a reason is logged once"
        store.start()
        wait_uploaded(stopped)
        wait_until(lambda: not final_files(stopped.data), "what is uploaded is deleted")
        found = json.loads(tracectl(stopped, "cat", "--resource", "io", "--object-store", "s3://away/results").stdout)
        times = sorted(event["ts"] for event in found["traceEvents"] if event.get("cat") == "io")
        assert times == traffic.sent["io"]
        assert "the object store takes files again" in (stopped.data / "logs/aggregator/current").read_text()
    finally:
        stopped.stop(check=False)
        store.stop()


@pytest.mark.parametrize(
    "changes, place, expected",
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://{bucket}/results", "does not accept the credentials"),
        ({"AWS_ACCESS_KEY_ID": ""}, "s3://{bucket}/results", "there are no credentials for the object store"),
        ({}, "s3://no-such-bucket/results", "there is no bucket no-such-bucket"),
    ],
    ids=["secret", "none", "bucket"],
)
def test_what_is_wrong_is_said(stopped, stored, bucket, contract, changes, place, expected):
    """In the status and by tracectl, with what to do; once it is right, the windows are uploaded."""
    place = place.format(bucket=bucket)
    use(stopped, stored, **changes)
    stopped.up("--object-store", place)
    traffic = Traffic(contract.messages)
    send(stopped, contract, traffic.batch(resources=("io",)))
    stopped.run("finalize")
    wait_until(lambda: expected in uploads(stopped).get("problem", ""), f"the status says: {expected}")
    done = tracectl(stopped, "cat", "--resource", "io", "--object-store", place, check=False)
    assert done.returncode == 1 and expected in done.stderr.decode(), done
    stopped.stop()
    use(stopped, stored)
    stopped.up("--object-store", f"s3://{bucket}/results")
    wait_uploaded(stopped)
    check_whole(stored, bucket, stopped.data)


def test_cells_share_a_store(stopped, stored, bucket, contract, tmp_path, programs):
    """Each cell has its own files; one or all are read; two clusters that use one cell are told so."""
    place = f"s3://{bucket}/results"
    other = Cluster(tmp_path / "other", programs)
    try:
        sent = []
        for cluster, cell, clock in ((stopped, "east", 1_760_000_000_000_000), (other, "west.2", 1_770_000_000_000_000)):
            use(cluster, stored)
            cluster.up("--object-store", place, "--cell", cell)
            traffic = Traffic(contract.messages, clock_us=clock)
            send(cluster, contract, traffic.batch(resources=("function", "io")))
            cluster.run("finalize")
            wait_uploaded(cluster)
            check_whole(stored, bucket, cluster.data, f"results/{cell}/")
            sent += traffic.sent["io"]

        def times(*arguments):
            done = tracectl(stopped, "cat", "--resource", "io", "--object-store", place, *arguments)
            events = json.loads(done.stdout)["traceEvents"]
            return sorted(event["ts"] for event in events if event.get("cat") == "io")

        assert times("--cell", "all") == sent
        assert times("--cell", "west.2") == sent[len(sent) // 2:]
        assert times("--data", stopped.data) == sent[:len(sent) // 2], "the cell of the cluster in --data"
        top = json.loads(tracectl(stopped, "top", "--object-store", place, "--cell", "all", "--json").stdout)
        assert top["functions"]
        done = tracectl(stopped, "cat", "--resource", "io", "--object-store", place, "--cell", "north", check=False)
        assert done.returncode == 1 and "east, west.2" in done.stderr.decode()

        # The same windows of another cluster in a cell that is taken.
        key = next(key for key in stored.keys(bucket, "results/west.2/windows/io/"))
        stored.client().put_object(
            Bucket=bucket, Key=key, Body=stored.content(bucket, key).replace(b'"bytes":', b'"bytes":1')
        )
        for mark in (other.data / "output/.merge/uploaded").glob("*_io_*"):
            mark.unlink()
        other.run("restart", "aggregator")
        problem = wait_until(lambda: (other.status().get("object_store") or {}).get("problem"), "the conflict is said")
        assert "another cluster uses the cell west.2" in problem and "--cell" in problem
    finally:
        other.stop(check=False)


def test_a_file_in_parts(stopped, stored, bucket, contract):
    """More than 64 MB become an upload of several parts, of which none is left over."""
    use(stopped, stored)
    stopped.up("--object-store", f"s3://{bucket}/results")
    traffic = Traffic(contract.messages)
    for _ in range(17):
        send(stopped, contract, traffic.batch(rounds=6_000, resources=("function",)))
    stopped.run("finalize")
    wait_uploaded(stopped, 120)
    assert max(path.stat().st_size for path in final_files(stopped.data)) > 64 << 20
    check_whole(stored, bucket, stopped.data)
    assert not stored.client().list_multipart_uploads(Bucket=bucket).get("Uploads")
