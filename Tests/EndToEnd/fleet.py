"""Traffic of a fleet whose services do a few things over and over, with a moment in which one of them gets slow."""
import random

# What a request does: a function's name, its own milliseconds, and the calls inside it.
SERVICES = {
    "checkout": ("handle_request", 0.4, [
        ("parse_json", 0.6, []),
        ("load_cart", 0.3, [("query", 0.2, [("send_query", 0.1, []), ("wait_rows", 2.2, []), ("decode_rows", 0.7, [])])]),
        ("price", 0.9, [("apply_discounts", 0.5, []), ("tax", 0.4, [])]),
        ("render", 0.5, [("escape_html", 0.8, []), ("gzip", 1.1, [])]),
    ]),
    "search": ("handle_request", 0.3, [
        ("tokenize", 0.5, []),
        ("rank", 1.2, [("score_bm25", 2.8, []), ("top_k", 0.6, [])]),
        ("snippets", 0.8, [("highlight", 0.9, [])]),
    ]),
    "train": ("train_step", 0.2, [
        ("load_batch", 1.5, [("decode_image", 2.1, [])]),
        ("forward", 0.4, [("attention", 3.1, []), ("mlp", 2.2, [])]),
        ("backward", 5.2, []),
    ]),
}


class Fleet:
    """Makes one batch a host and second. `slow` gives, for a second, by how much `wait_rows` takes longer.

    `calls` counts the calls of all batches; `self_us` is the time in each function itself, without the calls inside it.
    """

    def __init__(self, messages, hosts, processes=3, requests=4, seed=1, slow=lambda second: 1, services=SERVICES,
                 resources=("cpu", "memory", "network", "io", "gpu")):
        self.messages = messages
        self.hosts = hosts
        self.processes = processes
        self.requests = requests
        self.random = random.Random(seed)
        self.slow = slow
        self.services = services
        self.resources = resources
        self.cookie = 0
        self.calls = 0
        self.self_us = {}
        self.done = {}

    def batch(self, host, second):
        """What a host does in a second since the epoch."""
        batch = self.messages.TraceBatch(semantics=self.messages.CUMULATIVE, host=host)
        names = tuple(self.services)
        for number in range(self.processes):
            name, pid = names[number % len(names)], 4000 + number
            state = self.done.setdefault((host, pid), {"read": 0, "reads": 0, "sent": 0, "packets": 0})
            at = second * 1_000_000 + self.random.randrange(1000)
            for _ in range(self.requests):
                at = self._call(batch, pid, self.services[name], at, second) + self.random.randrange(1, 200)
            self._measures(batch, name, pid, state, second)
        return batch

    def _call(self, batch, pid, call, at, second):
        name, milliseconds, inside = call
        self.cookie += 1
        cookie = self.cookie
        own = int(milliseconds * 1000 * self.random.uniform(0.9, 1.1))
        if name == "wait_rows":
            own = int(own * self.slow(second))
        self._event(batch, pid, 0, cookie, name, at)
        at += own
        for child in inside:
            at = self._call(batch, pid, child, at, second)
        self._event(batch, pid, 1, cookie, name, at)
        self.calls += 1
        self.self_us[name] = self.self_us.get(name, 0) + own
        return at

    def _event(self, batch, pid, kind, cookie, name, at):
        batch.trace_data.add(
            timestamp=_text(at), event_type=kind, cookie=cookie, function_name=name, pid=pid, tgid=pid,
        )

    def _measures(self, batch, name, pid, state, second):
        at = _text(second * 1_000_000 + 500_000)
        for resource in self.resources:
            getattr(self, f"_{resource}")(batch, name, pid, at, state, self.slow(second))

    def _cpu(self, batch, name, pid, at, state, slow):
        utilization = self.random.uniform(20, 40) * (1 if slow == 1 else 1.8)
        batch.cpu_trace_data.add(
            timestamp=at, pid=pid, ppid=1, comm=name, cpu_id=pid % 8, oncpu_time=5000, offcpu_time=700,
            utilization=utilization, migrations_count=1, hotspot_cpu=1, hotspot_percentage=61.5,
        )

    def _memory(self, batch, name, pid, at, state, slow):
        used = int(self.random.uniform(180, 220) * (1 << 20)) + pid % 7 * (20 << 20)
        batch.memory_trace_data.add(
            timestamp=at, pid=pid, tgid=pid, comm=name, operation="alloc", size=4096, addr=pid, stack_id=9,
            total_allocs=10, total_frees=4, current_memory=used, peak_memory=256 << 20,
        )

    def _network(self, batch, name, pid, at, state, slow):
        sent = int(self.random.uniform(2e5, 4e5))
        state["sent"] += sent
        state["packets"] += 1
        batch.network_trace_data.add(
            timestamp=at, pid=pid, tgid=pid, comm=name, is_send=True, bytes=sent, src_addr="10.0.0.1", dst_addr="10.0.0.2",
            src_port=40000, dst_port=443, protocol="TCP", tx_bytes=state["sent"], rx_bytes=state["sent"] // 3,
            tx_packets=state["packets"], rx_packets=state["packets"], active_connections=12,
        )

    def _io(self, batch, name, pid, at, state, slow):
        read = int(self.random.uniform(1e6, 2e6) * min(slow, 4))
        state["read"] += read
        state["reads"] += 1
        batch.io_trace_data.add(
            timestamp=at, pid=pid, comm=name, operation="READ", bytes=read, latency_ms=0.4 * slow, device="nvme0n1", major=8,
            minor=1, read_bytes=state["read"], write_bytes=0, read_ops=state["reads"], write_ops=0, avg_read_latency=0.4,
        )

    def _gpu(self, batch, name, pid, at, state, slow):
        if name != "train":
            return
        data = self.messages.GPUTraceData
        used = int(self.random.uniform(3, 4) * (1 << 30))
        batch.gpu_trace_data.add(timestamp=at, event_type=data.MEMEVENT, mem_event={"pid": pid, "mem_size": used})
        batch.gpu_trace_data.add(
            timestamp=at, event_type=data.CUDALAUNCHEVENT,
            cuda_launch_event={"pid": pid, "kernel_name": "gemm", "num_calls": 40},
        )


def _text(microseconds):
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
