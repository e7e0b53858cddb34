"""`tracectl log`: reads the ingest log of a cluster, running or not, as an independent reader does."""
import collections
import json
import os
import shutil
import signal

import pytest

from cluster import wait_until
from log_reader import RESOURCES, Log, crc32c
from test_operation import Sender
from traffic import Traffic


def log(cluster, command, *arguments, data=None, status=0):
    done = cluster.tracectl("log", command, *arguments, "--data", str(data or cluster.data), check=False)
    assert done.returncode == status, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def traffic(contract):
    return Traffic(contract.messages)


@pytest.fixture(scope="module")
def snapshot(shared_cluster, contract, traffic, tmp_path_factory):
    """A copy of a log of three files, with duplicates and a barrier; a worker that stands still keeps it whole."""
    batches = [
        traffic.batch(rounds=3, client_id="reader", sequence=number, host="far", is_last_batch=number == 10)
        for number in range(1, 11)
    ]
    stub = contract.services.TracerServiceStub(shared_cluster.channel())

    def send(batches):
        for batch in batches:
            assert stub.SendTraceBatch(batch, timeout=30, wait_for_ready=True).success

    send([*batches[:5], *batches[:2]])
    shared_cluster.run("restart", "router")
    send(batches[5:8])
    shared_cluster.run("restart", "router")
    worker = shared_cluster.supervised_pid("gpu.0")
    os.kill(worker, signal.SIGSTOP)
    try:
        send(batches[8:])
        taken = tmp_path_factory.mktemp("snapshot")
        wait_until(lambda: "reason=lastBatch" in log(shared_cluster, "dump"), "the last batch's barrier")
        shutil.copytree(shared_cluster.data / "log", taken / "log")
        shutil.copy(shared_cluster.data / "manifest", taken)
    finally:
        os.kill(worker, signal.SIGCONT)
    return taken


@pytest.fixture
def copy(snapshot, tmp_path):
    """The snapshot, to be damaged."""
    return shutil.copytree(snapshot, tmp_path / "copy")


def path_of(copy, lsn):
    bases = [int(path.stem) for path in copy.glob("log/*.log")]
    base = max(base for base in bases if base <= lsn)
    return copy / f"log/{base:020}.log", lsn - base


def overwrite(copy, lsn, patch):
    path, offset = path_of(copy, lsn)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(patch)


def test_a_reader_written_from_the_format_s_text_agrees(shared_cluster, traffic, copy):
    read = Log(copy)
    assert len(read.files) == 3 and not read.damaged
    found = json.loads(log(shared_cluster, "stats", "--json", data=copy))
    batches = [record for record in read.records if record.type == "batch"]
    events = sum((record.events() for record in batches), collections.Counter())
    last = read.records[-1]
    assert found == {
        "files": len(read.files), "file_bytes": sum(map(len, read.files.values())),
        "begin_lsn": read.begin, "end_lsn": read.end, "durable_lsn": last.durable,
        "records": dict(collections.Counter(record.type for record in read.records)),
        "batches": len(batches), "batch_bytes": sum(len(record.body) for record in batches),
        "events": {resource: events[resource] for resource in RESOURCES},
        "accepted_events": sum(last.accepted.values()), "deduplicated_events": last.deduplicated,
        "rejected_events": last.rejected, "dead_lettered_events": last.dead_lettered,
        "first_arrival_ns": batches[0].arrival, "last_arrival_ns": batches[-1].arrival,
        "damaged_ranges": 0, "damaged_bytes": 0,
    }
    assert found["events"] == {resource: len(traffic.sent[resource]) for resource in RESOURCES}
    # What the text calls invariants.
    assert {record.lsn for record in read.records if record.type == "file-head"} == set(read.files)
    assert all(record.host == b"far" for record in batches)
    for before, record in zip(read.records, read.records[1:]):
        assert record.previous_crc == before.crc
        own = record.events() if record.type == "batch" else collections.Counter()
        assert record.accepted == {name: count + own[name] for name, count in before.accepted.items()}


def test_the_dump_shows_every_record(shared_cluster, copy):
    read = Log(copy)
    lines = [json.loads(line) for line in log(shared_cluster, "dump", "--json", data=copy).splitlines()]
    assert [(line["lsn"], line["type"], line["bytes"]) for line in lines] == [
        (record.lsn, record.type, record.end - record.lsn) for record in read.records
    ]
    batches = [line for line in lines if line["type"] == "batch"]
    assert [line["sequence"] for line in batches] == list(range(1, 11))
    assert batches[0]["client_id"] == "reader" and batches[0]["host"] == "far"
    assert [line["reason"] for line in lines if line["type"] == "barrier"] == ["lastBatch"]

    first, last = batches[2], batches[7]
    part = log(
        shared_cluster, "dump", "--from", str(first["lsn"] - 1), "--to", str(last["lsn"] + 1), "--json", data=copy
    )
    assert [json.loads(line) for line in part.splitlines()] == lines[lines.index(first) : lines.index(last) + 1]
    text = log(shared_cluster, "dump", "--from", str(first["lsn"]), "--limit", "1", data=copy).splitlines()
    assert len(text) == 1 and text[0].startswith(f"{first['lsn']} batch ") and " client_id=reader " in text[0]


def test_damage_is_named_by_its_exact_range(shared_cluster, copy):
    assert "no damage" in log(shared_cluster, "verify", data=copy)
    batches = [record for record in Log(copy).records if record.type == "batch"]
    expected = [(record.lsn, record.end) for record in (batches[1], batches[3])]
    overwrite(copy, batches[1].lsn + 130, b"\xff\xfe")
    overwrite(copy, batches[3].lsn, b"\0" * (batches[3].end - batches[3].lsn))
    found = json.loads(log(shared_cluster, "verify", "--json", data=copy, status=1))
    assert [(damage["from_lsn"], damage["to_lsn"]) for damage in found["damaged"]] == expected == Log(copy).damaged
    assert found["damaged_ranges"] == 2 and found["faulty_records"] == 0
    assert f"damaged: LSN {expected[0][0]} to {expected[0][1]} " in log(shared_cluster, "verify", data=copy, status=1)
    dumped = [json.loads(line) for line in log(shared_cluster, "dump", "--json", data=copy).splitlines()]
    assert [line["lsn"] for line in dumped if line["type"] == "damaged"] == [begin for begin, _ in expected]


def test_a_missing_file_is_damage(shared_cluster, copy):
    bases = sorted(Log(copy).files)
    path_of(copy, bases[1])[0].unlink()
    found = json.loads(log(shared_cluster, "verify", "--json", data=copy, status=1))
    assert found["damaged"] == [{"from_lsn": bases[1], "to_lsn": bases[2]}]


def test_a_damaged_head_of_a_file_is_damage(shared_cluster, copy):
    read = Log(copy)
    head = next(record for record in read.records if record.lsn == sorted(read.files)[1])
    overwrite(copy, head.lsn + 200, b"\xff")
    found = json.loads(log(shared_cluster, "verify", "--json", data=copy, status=1))
    assert found["damaged"] == [{"from_lsn": head.lsn, "to_lsn": head.end}]
    assert found["records"] == len(read.records) - 1


def test_a_torn_tail_is_no_damage(shared_cluster, copy):
    read = Log(copy)
    last = next(record for record in reversed(read.records) if record.type == "batch")
    end = read.records[-1].end
    overwrite(copy, last.end - 16, b"\xff" * 8 + b"\0" * (end - last.end + 8))
    found = json.loads(log(shared_cluster, "verify", "--json", data=copy))
    assert found["end_lsn"] == last.lsn == Log(copy).end
    assert found["unfinished_bytes"] == last.end - last.lsn


def test_a_record_that_its_writer_would_not_write_is_named(shared_cluster, copy):
    """A whole record with a wrong count: only what follows from the records before tells."""
    read = Log(copy)
    last = read.records[-1]
    path, offset = path_of(copy, last.lsn)
    data = path.read_bytes()[offset : offset + last.end - last.lsn]
    length = int.from_bytes(data[8:12], "little")
    changed = data[8:48] + (last.accepted["function"] + 1).to_bytes(8, "little") + data[56:]
    overwrite(copy, last.lsn + 4, crc32c(changed[: 120 + length]).to_bytes(4, "little") + changed)
    found = json.loads(log(shared_cluster, "verify", "--json", data=copy, status=1))
    assert [fault["lsn"] for fault in found["faults"]] == [last.lsn]
    assert "function" in found["faults"][0]["problem"]


def test_a_log_being_written_and_trimmed_is_sound(cluster, contract):
    senders = [Sender(cluster, contract, f"s{number}", 1_760_000_000_000_000 + number * 10**12) for number in range(2)]
    try:
        for _ in range(15):
            senders[0].advance(5)
            found = json.loads(log(cluster, "verify", "--json"))
            assert found["faulty_records"] == found["damaged_ranges"] == 0
        ends = [json.loads(log(cluster, "stats", "--json"))["end_lsn"] for _ in range(2) if senders[0].advance(5) is None]
        assert ends[1] > ends[0]
    finally:
        for sender in senders:
            sender.stopping.set()
    for sender in senders:
        sender.finish()


@pytest.mark.parametrize("arguments", [["verify", "--nonsense"], ["dump", "--limit", "0"], ["dump", "--from", "x"]])
def test_nonsense_is_refused(shared_cluster, arguments):
    done = shared_cluster.tracectl("log", *arguments, check=False)
    assert done.returncode == 2 and "Error: " in done.stderr


def test_a_directory_that_is_no_cluster_s_is_named(shared_cluster, tmp_path):
    done = shared_cluster.tracectl("log", "verify", "--data", str(tmp_path), check=False)
    assert done.returncode == 2
    assert "manifest" in done.stderr and "--data" in done.stderr
