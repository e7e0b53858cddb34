"""tracectl as a source of events: the agent that samples this machine, and recordings of real programs."""
import json
import subprocess
import sys

from outputs import records
from traffic import RESOURCES, Traffic

PROGRAM = """
def leaf(n):
    return sum(i * i for i in range(n))

def branch(n):
    return leaf(n) + leaf(n + 1)

print(sum(branch(n) for n in range(40)))
"""


def test_the_agent_samples_this_machine(cluster):
    cluster.tracectl("agent", "--server", cluster.grpc, "--duration", "3s")
    cluster.run("finalize")
    cpu = records(cluster.data, "cpu")
    assert cpu and any(event["args"].get("utilization", 0) > 0 for event in cpu)
    assert records(cluster.data, "memory")
    written = sum(len(records(cluster.data, resource)) for resource in RESOURCES)
    assert cluster.quiet_status(written)["written_events"] == written


def test_a_recording_of_a_real_program_is_imported(cluster, tmp_path):
    program, recording = tmp_path / "program.py", tmp_path / "recording.json"
    program.write_text(PROGRAM)
    subprocess.run(
        [sys.executable, "-m", "viztracer", "--quiet", "-o", recording, program], check=True, capture_output=True
    )
    calls = [event for event in json.loads(recording.read_text())["traceEvents"] if event.get("ph") == "X"]
    assert len(calls) > 100

    cluster.tracectl("import", str(recording), "--server", cluster.grpc)
    cluster.run("finalize")
    events = records(cluster.data, "function")
    assert len(events) == 2 * len(calls)
    leaves = [event for event in events if event["ph"] == "B" and "leaf" in event["name"]]
    assert len(leaves) == sum("leaf" in call["name"] for call in calls)


def test_batches_from_files_are_sent(cluster, contract, tmp_path):
    traffic = Traffic(contract.messages)
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.pb")
        files[-1].write_bytes(traffic.batch().SerializeToString())
    cluster.tracectl("send", "--server", cluster.grpc, *map(str, files))
    cluster.run("finalize")
    assert cluster.quiet_status(traffic.events)["written_events"] == traffic.events
