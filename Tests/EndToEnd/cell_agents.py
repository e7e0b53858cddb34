"""Agents of several hosts, as a program that test_cells.py runs in a network of its own.

    cell_agents.py STUBS ADDRESS CA CERTIFICATE KEY HOST…

Each sends batches, the same one again where a call fails, until standard input ends. Every 0.2 s a line says how many calls of
each host were answered; the last line has what each has sent.
"""
import json
import pathlib
import sys
import threading
import time

import grpc

from cluster import CHANNEL_OPTIONS
from traffic import Traffic

SEND = "/NeuTracer.TracerService/SendTraceBatch"
GIVE_UP_SECONDS = 60


class Agent:
    def __init__(self, messages, number, host, address, credentials, stop):
        self.host, self.stop = host, stop
        # Hosts have clocks that do not overlap.
        self.traffic = Traffic(messages, clock_us=1_760_000_000_000_000 + number * 10**12)
        self.channel = grpc.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
        self.answered, self.longest, self.failures = 0, 0.0, []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        call = self.channel.unary_unary(SEND)
        while not self.stop.is_set():
            batch = self.traffic.batch(2, host=self.host, client_id=f"agent of {self.host}", sequence=self.answered + 1)
            begin = time.monotonic()
            while True:
                try:
                    call(batch.SerializeToString(), metadata=[("x-trace-host", self.host)], timeout=GIVE_UP_SECONDS)
                    break
                except grpc.RpcError as error:
                    self.failures.append(f"{error.code().name}: {error.details()}")
                    print(self.host, self.failures[-1], file=sys.stderr, flush=True)
                    if time.monotonic() > begin + GIVE_UP_SECONDS:
                        return
                    time.sleep(0.1)
            self.longest = max(self.longest, time.monotonic() - begin)
            self.answered += 1
            self.stop.wait(0.05)


def main(stubs, address, authority, certificate, key, *hosts):
    sys.path.insert(0, stubs)
    import tracer_service_pb2 as messages

    files = (pathlib.Path(path).read_bytes() for path in (authority, key, certificate))
    credentials = grpc.ssl_channel_credentials(*files)
    stop = threading.Event()
    agents = [Agent(messages, number, host, address, credentials, stop) for number, host in enumerate(hosts)]
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    while not stop.wait(0.2):
        print(json.dumps({agent.host: agent.answered for agent in agents}), flush=True)
    for agent in agents:
        agent.thread.join()
    print(json.dumps({
        agent.host: {
            "sent": agent.traffic.sent, "calls": len(agent.traffic.completed_calls), "longest": agent.longest,
            "failures": agent.failures,
        }
        for agent in agents
    }), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
