"""Far more processes and functions than are shown: pages stay small, sums stay exact, everything is accounted for."""
import pytest

from cluster import wait_until
from monitoring import check_metrics

LIMIT = 60
HISTOGRAMS = LIMIT // 20
PROCESSES, FUNCTIONS = 40, 25


class Flood:
    def __init__(self, cluster, contract):
        self.cluster, self.messages = cluster, contract.messages
        self.stub = contract.services.TracerServiceStub(cluster.channel())
        self.events = self.calls = 0
        self.clock_us = 1_760_000_000_000_000

    def _stamp(self):
        self.clock_us += 100
        return f"{self.clock_us // 1_000_000}.{self.clock_us % 1_000_000:06d}"

    def send(self, functions, rounds=1):
        """Each function is called once a round; its process has an event of cpu."""
        for _ in range(rounds):
            batch = self.messages.TraceBatch(semantics=self.messages.CUMULATIVE)
            for process, function in functions:
                cookie = self.clock_us
                for kind in (0, 1):
                    batch.trace_data.add(
                        timestamp=self._stamp(), event_type=kind, cookie=cookie,
                        function_name=f"crowd::function_{function}", pid=1000 + process, tgid=1000 + process,
                    )
                batch.cpu_trace_data.add(
                    timestamp=self._stamp(), pid=1000 + process, ppid=1, comm=f"p{process}", oncpu_time=5,
                )
            assert self.stub.SendTraceBatch(batch, timeout=60).success
            self.events += 3 * len(functions)
            self.calls += len(functions)

    def settle(self):
        self.cluster.quiet_status(self.events)

        def shown():
            metrics = self.cluster.metrics()
            written = sum(metrics["trace_written_events_total"].values())
            return metrics if written == self.events else None

        return wait_until(shown, f"{self.events} events written, on /metrics")


def others(samples):
    return {labels: value for labels, value in samples.items() if dict(labels)["host"] == "other"}


def check(flood, before=None):
    metrics = flood.settle()
    assert sum(metrics["trace_received_events_total"].values()) == flood.events
    calls = metrics["trace_function_calls_total"]
    assert len(calls) == LIMIT + 1
    assert sum(calls.values()) == flood.calls
    durations = metrics["trace_function_duration_seconds_count"]
    assert len(durations) == HISTOGRAMS + 1
    assert sum(durations.values()) == flood.calls
    for name, samples in metrics.items():
        sets = {tuple(pair for pair in labels if pair[0] != "le") for labels in samples}
        assert len(sets) <= LIMIT + 1, name
    if before:
        for name in ("trace_function_calls_total", "trace_function_duration_seconds_count"):
            fallen = {
                labels: (value, metrics[name].get(labels)) for labels, value in before[name].items()
                if labels in metrics[name] and metrics[name][labels] < value
            }
            assert not fallen, name
            assert set(others(metrics[name])) == set(others(before[name]))
    return metrics


@pytest.mark.parametrize("cluster", [["--series-limit", str(LIMIT), "--workers", "function=2"]], indirect=True)
def test_a_flood_of_functions_stays_a_small_page(cluster, contract):
    flood = Flood(cluster, contract)
    everything = [(process, function) for process in range(PROCESSES) for function in range(FUNCTIONS)]
    for start in range(0, len(everything), 250):
        flood.send(everything[start:start + 250])
    metrics = check(flood)
    sizes = []
    for path in ("/metrics", "/metrics?names=trace", "/metrics/neutracer"):
        page = cluster.get(path)
        assert not check_metrics(page)
        sizes.append(len(page))
    # The functions called most get the histograms, without anything that falls.
    most = [(PROCESSES - 1, function) for function in range(HISTOGRAMS)]
    flood.send(most, rounds=10)
    metrics = check(flood, metrics)
    flood.send(most, rounds=5)
    metrics = check(flood, metrics)
    shown = {dict(labels)["pid"]: value for labels, value in metrics["trace_function_duration_seconds_count"].items()}
    assert set(shown) == {str(1000 + PROCESSES - 1), "other"}
    # Nor does anything where processes end.
    for name in ("aggregator", "function.0", "cpu.0"):
        pid = cluster.pid(name)
        cluster.run("restart", name)
        wait_until(lambda: cluster.status()["ready"] and cluster.pid(name) not in (pid, None), f"{name} is back")
        flood.send(everything[:250])
        metrics = check(flood, metrics)
    # As large as it was: no page grows with what is sent.
    for path, size in zip(("/metrics", "/metrics?names=trace", "/metrics/neutracer"), sizes):
        page = cluster.get(path)
        assert not check_metrics(page)
        assert len(page) < 1.2 * size
