"""A second reader of the ingest log, written from the text at the head of Sources/Log/IngestLog/LogRecord.swift alone."""
import collections
import dataclasses
import struct

HEADER = struct.Struct("<4sIIBBHQIIqQ6QQQQQ")
TYPES = {1: "file-head", 2: "batch", 3: "barrier", 4: "tick", 5: "damage", 6: "verdict"}
RESOURCES = ("function", "cpu", "memory", "network", "io", "gpu")
# The field of TraceBatch that holds each resource's events (Protos/tracer_service.proto).
FIELDS = {1: "function", 2: "gpu", 3: "cpu", 4: "memory", 5: "network", 6: "io"}


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC_TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


@dataclasses.dataclass
class Record:
    lsn: int
    end: int
    crc: int
    previous_crc: int
    type: str
    arrival: int
    durable: int
    accepted: dict
    deduplicated: int
    rejected: int
    dead_lettered: int
    body: bytes
    host: bytes

    def events(self):
        """Events of a batch by resource: how often each of its fields occurs."""
        counts, at = collections.Counter(), 0
        while at < len(self.body):
            tag, at = _varint(self.body, at)
            if tag >> 3 in FIELDS:
                counts[FIELDS[tag >> 3]] += 1
            match tag & 7:
                case 0:
                    _, at = _varint(self.body, at)
                case 1:
                    at += 8
                case 2:
                    length, at = _varint(self.body, at)
                    at += length
                case 5:
                    at += 4
                case other:
                    raise ValueError(f"wire type {other}")
        assert at == len(self.body)
        return counts


def _varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


class Log:
    """All of a log, read into memory: `records`, `damaged` ranges, `begin` and `end`."""

    def __init__(self, data):
        manifest = dict(line.split("=", 1) for line in (data / "manifest").read_text().splitlines())
        self.salt = int(manifest["salt"])
        self.files = {int(path.stem): path.read_bytes() for path in sorted((data / "log").glob("?" * 20 + ".log"))}
        self.records, self.damaged = [], []
        self.begin = self.end = min(self.files, default=0)
        while True:
            before = self.records[-1] if self.records and self.records[-1].end == self.end else None
            record = self._record(self.end)
            if record is None or before is not None and record.previous_crc != before.crc:
                record = self._going_on(self.end)
                if record is None:
                    break
                self.damaged.append((self.end, record.lsn))
            self.records.append(record)
            self.end = record.end

    def _record(self, lsn):
        base = max((base for base in self.files if base <= lsn), default=None)
        if base is None:
            return None
        data, at = self.files[base], lsn - base
        if len(data) - at < 128:
            return None
        (magic, crc, length, kind, version, host, own, previous, salt, arrival, durable, *counts) = HEADER.unpack(
            data[at : at + 128]
        )
        if (magic, version, own, salt) != (b"TRL1", 1, lsn, self.salt) or kind not in TYPES:
            return None
        if host > length or len(data) - at < 128 + length or crc32c(data[at + 8 : at + 128 + length]) != crc:
            return None
        payload = data[at + 128 : at + 128 + length]
        return Record(
            lsn=lsn, end=lsn + (128 + length + 7) // 8 * 8, crc=crc, previous_crc=previous, type=TYPES[kind],
            arrival=arrival, durable=durable, accepted=dict(zip(RESOURCES, counts)), deduplicated=counts[6],
            rejected=counts[7], dead_lettered=counts[8], body=payload[: length - host], host=payload[length - host :],
        )

    def _going_on(self, lost):
        first = None
        for base, data in self.files.items():
            end = min((other for other in self.files if other > base), default=base + len(data))
            at = data.find(b"TRL1", max(lost + 8 - base, 0))
            while 0 <= at < end - base:
                record = self._record(base + at) if at % 8 == 0 else None
                if record is not None and record.durable > lost:
                    return first if first is not None and first.end <= record.durable else record
                first = first or record
                at = data.find(b"TRL1", at + 1)
        return None
