import importlib
import os
import pathlib
import signal
import sys
from types import SimpleNamespace

import pytest
from grpc_tools import protoc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from cluster import ROOT, Cluster  # noqa: E402

# A shell starts what it puts in the background with SIGINT ignored, programs inherit that, and bash can't
# undo it: then no Ctrl-C would reach what the tests start. A handler of our own is the default for them.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=12, help="kills in test_kills.py")
    parser.addoption("--damages", type=int, default=0, help="trials in test_damage.py; 0: one byte and one cut a kind")
    parser.addoption("--jobs", type=int, default=2, help="trials in test_damage.py at a time")
    parser.addoption("--soak-seconds", type=int, default=20, help="how long test_soak.py goes on")
    parser.addoption("--seed", type=int, help="seed of test_kills.py and test_damage.py; printed otherwise")


@pytest.fixture(scope="session")
def contract(tmp_path_factory):
    """The Python stubs, made from Protos/ as they are now: `messages` and `services`."""
    target = tmp_path_factory.mktemp("stubs")
    status = protoc.main(
        ["protoc", f"-I{ROOT / 'Protos'}", f"--python_out={target}", f"--grpc_python_out={target}",
         "tracer_service.proto"]
    )
    assert status == 0
    sys.path.insert(0, str(target))
    return SimpleNamespace(
        messages=importlib.import_module("tracer_service_pb2"),
        services=importlib.import_module("tracer_service_pb2_grpc"),
    )


@pytest.fixture(scope="session")
def programs():
    """The directory of the programs under test: TRACE_TEST_BIN_DIR, else the debug build's."""
    directory = pathlib.Path(os.environ.get("TRACE_TEST_BIN_DIR", ROOT / ".build/debug")).resolve()
    for name in ("trace-router", "trace-worker", "trace-aggregator", "trace-console", "tracectl"):
        assert (directory / name).is_file(), f"{directory / name} is missing; build it with: swift build"
    return directory


def _running(directory, programs, *options):
    cluster = Cluster(directory, programs)
    try:
        cluster.up(*options)
        yield cluster
        if cluster.status()["ready"]:
            cluster.settled_status()
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        cluster.stop(check=False)
        left = cluster.processes()
        assert not left, f"stop left processes: {left}"


@pytest.fixture
def cluster(tmp_path, programs, request):
    """A cluster for one test; `@pytest.mark.parametrize("cluster", [[…]], indirect=True)` gives options of up."""
    yield from _running(tmp_path / "data", programs, *getattr(request, "param", []))


@pytest.fixture
def stopped(tmp_path, programs):
    """A cluster that is not started; stopped in the end."""
    cluster = Cluster(tmp_path / "data", programs)
    yield cluster
    cluster.stop(check=False)
    assert not cluster.processes()


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory, programs):
    """A cluster for all tests of a module; they look at differences."""
    yield from _running(tmp_path_factory.mktemp("shared") / "data", programs)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the ends of its cluster's logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for name in ("cluster", "shared_cluster"):
        if name in item.funcargs:
            report.sections.append(("logs of the cluster", item.funcargs[name].logs()))
