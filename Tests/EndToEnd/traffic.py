"""Batches of all six resources whose events each have a `ts` of their own, so that each can be found again."""
import itertools

RESOURCES = ("function", "cpu", "memory", "network", "io", "gpu")


class Traffic:
    """Makes batches and remembers, by resource, the microseconds since the epoch of every event made.

    `clock_us`: the time of the first event; each further one is a millisecond later. Traffics of one
    test need clocks that do not overlap.
    """

    def __init__(self, messages, clock_us=1_760_000_000_000_000, processes=(4001, 4002, 4003)):
        self.messages = messages
        self.clock_us = clock_us
        self.processes = itertools.cycle(processes)
        self.cookies = itertools.count(clock_us // 1000)
        self.sent = {resource: [] for resource in RESOURCES}
        self.completed_calls = []  # cookies

    @property
    def events(self):
        return sum(map(len, self.sent.values()))

    def batch(self, rounds=10, resources=RESOURCES, **fields):
        """One batch: `rounds` times a step of each resource (four function events, four of gpu, one of the others)."""
        batch = self.messages.TraceBatch(**{"semantics": self.messages.CUMULATIVE, **fields})
        for _ in range(rounds):
            process = next(self.processes)
            for resource in resources:
                getattr(self, f"_{resource}")(batch, process)
        return batch

    def _tick(self, resource):
        self.clock_us += 1000
        self.sent[resource].append(self.clock_us)
        return f"{self.clock_us // 1_000_000}.{self.clock_us % 1_000_000:06d}"

    def _function(self, batch, process):
        outer, inner = next(self.cookies), next(self.cookies)
        steps = ((0, outer, "compute"), (0, inner, "helper<int>"), (1, inner, "helper<int>"), (1, outer, "compute"))
        for kind, cookie, name in steps:
            batch.trace_data.add(
                timestamp=self._tick("function"), event_type=kind, cookie=cookie, function_name=name,
                pid=process + 100, tgid=process, call_count=3, avg_duration_us=7,
            )
        self.completed_calls += [inner, outer]

    def _cpu(self, batch, process):
        batch.cpu_trace_data.add(
            timestamp=self._tick("cpu"), pid=process, ppid=1, comm="crunch", cpu_id=1, oncpu_time=5000,
            offcpu_time=700, utilization=42.25, migrations_count=2, numa_migrations=1, hotspot_cpu=1,
            hotspot_percentage=61.5,
        )

    def _memory(self, batch, process):
        batch.memory_trace_data.add(
            timestamp=self._tick("memory"), pid=process + 100, tgid=process, comm="crunch", operation="alloc",
            size=4096, addr=self.clock_us, stack_id=9, total_allocs=10, total_frees=4, current_memory=65536,
            peak_memory=131072,
        )

    def _network(self, batch, process):
        batch.network_trace_data.add(
            timestamp=self._tick("network"), pid=process + 100, tgid=process, comm="crunch", is_send=True,
            bytes=1500, src_addr="10.0.0.1", dst_addr="fe80::2", src_port=40000, dst_port=443, protocol="TCP",
            tx_bytes=1500, rx_bytes=300, tx_packets=3, rx_packets=2, active_connections=1,
        )

    def _io(self, batch, process):
        batch.io_trace_data.add(
            timestamp=self._tick("io"), pid=process, comm="crunch", operation="READ", bytes=512, latency_ms=0.25,
            device='sd"a\\1', major=8, minor=1, read_bytes=512, write_bytes=0, read_ops=1, write_ops=0,
            avg_read_latency=0.25, avg_write_latency=0.5,
        )

    def _gpu(self, batch, process):
        data = self.messages.GPUTraceData
        batch.gpu_trace_data.add(
            timestamp=self._tick("gpu"), event_type=data.CALLSTACK,
            callstack_event={"pid": process, "stack_message": "main\n\ncudaLaunchKernel+0x1\nstep|two"},
        )
        batch.gpu_trace_data.add(
            timestamp=self._tick("gpu"), event_type=data.MEMEVENT, mem_event={"pid": process, "mem_size": 1 << 20}
        )
        batch.gpu_trace_data.add(
            timestamp=self._tick("gpu"), event_type=data.CUDALAUNCHEVENT,
            cuda_launch_event={"pid": process, "kernel_name": "gemm", "num_calls": 5},
        )
        batch.gpu_trace_data.add(
            timestamp=self._tick("gpu"), event_type=data.MEMTRANSEVENT,
            mem_trans_event={"pid": process, "mem_trans_rate": 1_000_000, "kind_str": "H2D"},
        )
