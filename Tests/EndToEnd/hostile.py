"""HTTP/2 by hand over a plain socket (RFC 9113), for clients that no gRPC library would be."""
import socket
import time

SEND = "/NeuTracer.TracerService/SendTraceBatch"
STATUS = "/NeuTracer.TracerService/GetStatus"
STREAM = "/NeuTracer.TracerService/StreamTraceBatches"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
FRAME_BYTES_MAX = 16_384
WINDOW_BYTES = 65_535  # of a connection, and of a call, at first


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A header field as it is, not indexed (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call_headers(path):
    fields = {":path": path, ":authority": "localhost", "te": "trailers", "content-type": "application/grpc"}
    return b"\x83\x86" + b"".join(literal(name, value) for name, value in fields.items())


def message_head(size):
    return b"\0" + size.to_bytes(4, "big")


class RawClient:
    """One connection. It reads only where `upload` has to wait for a window, and for `ended`."""

    def __init__(self, address, receive_buffer=None, context=None, source=None, settings=b""):
        """`context`: of TLS, for HTTP/2 over it; `source`: the address to come from; `settings`: what SETTINGS hold."""
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect((host, int(port)))
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.next_stream = 1
        self.windows = {0: WINDOW_BYTES}
        self.received = bytearray()
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        self.socket.sendall(data)

    def open(self, path, flags=END_HEADERS):
        """Begins a call; returns its number."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.send(frame(HEADERS, flags, stream, call_headers(path)))
        return stream

    def data(self, stream, data, flags=0):
        """Sends it in frames of the usual size, whatever the server's windows allow."""
        for place in range(0, max(len(data), 1), FRAME_BYTES_MAX):
            piece = data[place:place + FRAME_BYTES_MAX]
            last = place + FRAME_BYTES_MAX >= len(data)
            self._send_data(stream, piece, flags if last else 0)

    def _send_data(self, stream, data, flags=0):
        self.send(frame(DATA, flags, stream, data))
        for number in (0, stream):
            self.windows[number] = self.windows.get(number, WINDOW_BYTES) - len(data)

    def upload(self, stream, size, seconds):
        """Sends the beginning of a message, `size` bytes, as the windows allow; returns how many it could in that time."""
        sent = 0
        deadline = time.monotonic() + seconds
        while sent < size and time.monotonic() < deadline:
            allowed = min(size - sent, FRAME_BYTES_MAX, self.windows[0], self.windows.get(stream, WINDOW_BYTES))
            try:
                if allowed > 0:
                    self._send_data(stream, bytes(allowed))
                    sent += allowed
                else:
                    self.socket.settimeout(0.2)
                    self.received += self.socket.recv(1 << 16)
                    self._take_window_updates()
            except TimeoutError:
                pass  # the server does not read it, or says nothing
            except OSError:
                break
        return sent

    def _take_window_updates(self):
        while len(self.received) >= 9:
            end = 9 + int.from_bytes(self.received[:3], "big")
            if len(self.received) < end:
                return
            if self.received[3] == WINDOW_UPDATE:
                stream = int.from_bytes(self.received[5:9], "big")
                added = int.from_bytes(self.received[9:end], "big")
                self.windows[stream] = self.windows.get(stream, WINDOW_BYTES) + added
            del self.received[:end]

    def ended(self, seconds=10):
        """Whether the server closes the connection within so long, whatever it says before."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self):
        self.socket.close()
